/** `tune serve`: a results folder over HTTP. */
import { Command } from "@commander-js/extra-typings";
import { InvalidArgumentError } from "commander";
import { INDEX_NAME } from "../../results/mod.ts";
import { FailureError } from "../errors.ts";
import { existingResultsDir, RESULTS_OPTION, wholeNumber } from "./options.ts";

/** Adds the command. */
export function serveCommand() {
  return new Command("serve")
    .description("serve a results folder over HTTP, read-only: files, pages, /metrics and /healthz")
    .option(...RESULTS_OPTION)
    .option("--host <name>", "the address to listen on; 0.0.0.0 for all", parseHost, "127.0.0.1")
    .option("--port <n>", "the port to listen on; 0 for any free one", wholeNumber(0, 65_535), 8000)
    .option("--max-age <seconds>", "for how long clients may keep a file", wholeNumber(0, 31_536_000), 300)
    .action(async ({ results, host, port, maxAge }) => {
      const dir = await Deno.realPath(existingResultsDir(results));
      const hasIndex = await Deno.stat(`${dir}/${INDEX_NAME}`).then(() => true, () => false);
      if (!hasIndex) console.error(`No ${INDEX_NAME} in it: deno run tune index --results ${results} makes one`);
      await serveApart({ dir, hostname: host, port, maxAge }, (url) => console.log(`Serving ${results} at ${url}`));
    });
}

function parseHost(text: string): string {
  if (/^[A-Za-z0-9.-]{1,253}$|^[0-9A-Fa-f:.]{2,45}$/.test(text)) return text;
  throw new InvalidArgumentError(`"${text}" is no address, expected for example 127.0.0.1, 0.0.0.0 or ::`);
}

/**
 * Runs the server in a process of its own, which may read the one folder and listen on the one address: the command line
 * has no net permission, and the server has none of the command line's.
 */
async function serveApart(
  options: { dir: string; hostname: string; port: number; maxAge: number },
  listening: (url: string) => void,
): Promise<void> {
  const script = new URL("../serve/main.ts", import.meta.url);
  const host = options.hostname.includes(":") ? `[${options.hostname}]` : options.hostname;
  const server = new Deno.Command("deno", {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-lock"],
      `--allow-read=${options.dir.replaceAll(",", ",,")}`,
      `--allow-net=${host}:${options.port}`,
      script.protocol === "file:" ? script.pathname : script.href,
      JSON.stringify(options),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const end = () => void server.stdin.close().catch(() => {});
  Deno.addSignalListener("SIGINT", end);
  Deno.addSignalListener("SIGTERM", end);
  let why = "the server's process ended";
  for await (const line of server.stdout.pipeThrough(new TextDecoderStream())) {
    const { url, error } = JSON.parse(line);
    if (url !== undefined) listening(url);
    else why = error;
  }
  const { success } = await server.status;
  if (!success) throw new FailureError(`Cannot serve on ${host}:${options.port}: ${why}`);
}
