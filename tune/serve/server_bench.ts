/**
 * 10,000 requests, 64 at once, on loopback: a bare server, this one, and this one among hostile clients, each server in a
 * process of its own. It prints what they came to, and fails where a good request did.
 */
import { fileURLToPath } from "node:url";
import { resultsFiles } from "../../results/mod.ts";
import { hostility, type Storm, storm } from "./testing/clients.ts";

const COUNT = 10_000;
const CONCURRENCY = 64;
const dir = fileURLToPath(new URL("../../results/", import.meta.url));
const [file] = await resultsFiles(dir);
const TARGETS = ["/", "/index.json", `/${file}`, `/${file.replace(".json", ".html")}`];

const BARE = `
  import { createServer } from "node:http";
  const server = createServer((_, response) => response.end("ok"));
  server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: "http://127.0.0.1:" + server.address().port })));
`;
const OPTIONS = JSON.stringify({ dir, hostname: "127.0.0.1", port: 0, maxAge: 60 });
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const NET = "--allow-net=127.0.0.1:0";

/** A storm against a server that runs for as long. */
async function against(args: string[], hostile = false): Promise<Storm & { mib: number; escapes: number }> {
  const server = new Deno.Command("deno", { args, stdin: "piped", stdout: "piped" }).spawn();
  const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { url } = JSON.parse((await lines.read()).value!);
  const controller = new AbortController();
  const attack = hostile ? hostility(url, `/${file}`, controller.signal) : Promise.resolve([]);
  const result = await storm(url, { targets: TARGETS, count: COUNT, concurrency: CONCURRENCY });
  controller.abort();
  const escapes = (await attack).length;
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  const mib = Number(/^process_resident_memory_bytes (.*)$/m.exec(metrics)?.[1] ?? NaN) / 2 ** 20;
  server.kill();
  await server.stdin.close().catch(() => {});
  await lines.cancel();
  await server.status;
  return { ...result, mib, escapes };
}

async function run(): Promise<void> {
  const bare = await against(["eval", "--quiet", BARE]);
  const run = ["run", "--quiet", "--no-prompt", "--no-lock", `--allow-read=${dir}`, NET, MAIN, OPTIONS];
  const rows = {
    "bare node:http": bare,
    "tune serve": await against(run),
    "among hostile clients": await against(run, true),
  };
  for (const [name, { good, failures, seconds, p50, p99, mib, escapes }] of Object.entries(rows)) {
    console.log(
      `${name}: ${good} of ${COUNT} good, ${Math.round(COUNT / seconds)} a second (${
        (seconds / bare.seconds).toFixed(2)
      } x ` +
        `the time of the bare one), median ${p50.toFixed(1)} ms, 99 % within ${p99.toFixed(1)} ms` +
        `${Number.isNaN(mib) ? "" : `, ${mib.toFixed(0)} MiB resident`}${
          escapes > 0 ? `, ${escapes} escapes tried` : ""
        }`,
    );
    if (failures.length > 0) throw new Error(`${failures.length} failed, the first: ${failures[0]}`);
  }
}

let ran: Promise<void> | undefined;
Deno.bench({
  name: "10,000 requests, 64 at once: bare, served, among hostile clients",
  group: "serve",
  n: 1,
  fn: async () => await (ran ??= run()), // once is enough: the lines above say more than an average would
});
