/** `tune patch`: how a server that is installed is brought to launch what was tuned. */
import { Command } from "@commander-js/extra-typings";
import { SERVERS } from "../../kernels/mla_decode/triton/installed.ts";
import { lookup } from "../../results/mod.ts";
import { pythonCommand } from "../backends.ts";
import { FailureError, UsageError } from "../errors.ts";
import { resultsFrom, SOURCE_HELP } from "../remote/source.ts";
import { workerEnvironment } from "../worker/host.ts";
import { parseContexts, wholeNumber } from "./options.ts";

/** The server's own flag for the most splits of a request; vLLM has none. */
const SPLITS_FLAG: Readonly<Record<string, string>> = { sglang: "--triton-attention-num-kv-splits" };

/** What the worker says of the installed source. */
interface Patch {
  readonly version: string;
  readonly path: string;
  /** "BLOCK_N: 32 → 64", one for each value that is hard-coded otherwise. */
  readonly changes: readonly string[];
  readonly diff: string;
}

/** Adds the command. */
export function patchCommand() {
  return new Command("patch")
    .description("print the flags and the smallest patch with which an installed server launches what was tuned")
    .argument("<source>", `of a sweep with --implementation: ${SOURCE_HELP}`)
    .option(
      "--context <n>",
      "cached tokens a request, as in 196608 or 192k (default: the longest that was tuned)",
      (text) => parseContexts(text)[0],
    )
    .option("--sm-count <n>", "multiprocessors (default: the most that were tuned)", wholeNumber(1, 9999))
    .option("--python <path>", "the server's Python (default: KVTUNE_PYTHON, or python3)")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (source, { context, smCount, python, json }) => {
      const results = await resultsFrom(source);
      const server = SERVERS.find((name) => results.kernel.endsWith(`_${name}`));
      if (!server) {
        throw new UsageError(
          `Cannot patch a server from "${source}": its kernel is ${results.kernel}, expected one of a sweep with ` +
            `--implementation ${SERVERS.join(" or ")}`,
        );
      }
      const sm = smCount ?? Math.max(...Object.keys(results.configs).map(Number));
      const tuned = results.configs[sm] ?? Object.values(results.configs)[0];
      const contextLen = context ?? Math.max(...Object.keys(tuned).map(Number));
      const { match, config } = lookup(results, { smCount: sm, contextLen });
      const patch = await patchOf(pythonCommand(python), server, config);
      const flag = SPLITS_FLAG[server];
      const flags = flag ? [`${flag} ${config.max_kv_splits}`] : [];
      if (json) console.log(JSON.stringify({ server, match, config, flags, ...patch }, null, 2));
      else {
        console.log(flags.join("\n") || `${server} hard-codes num_kv_splits: set it to ${config.max_kv_splits}`);
        console.log(
          patch.diff === ""
            ? `${server} ${patch.version} needs no patch: it launches these constants`
            : `# ${server} ${patch.version} hard-codes ${patch.changes.join(", ")}:\n${patch.diff.trimEnd()}`,
        );
      }
    });
}

async function patchOf(python: string, server: string, config: Readonly<Record<string, unknown>>): Promise<Patch> {
  const script = new URL("../worker/patch.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      "--no-lock",
      `--allow-run=${python}`,
      script,
      python,
      server,
      JSON.stringify(config),
    ],
    ...workerEnvironment(Deno.env.toObject()),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new FailureError(decoder.decode(stderr).trim().split("\n").at(-1)!);
  return JSON.parse(decoder.decode(stdout));
}
