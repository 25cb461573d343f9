/** `tune export`: results in the form that others take. */
import { Command, Option } from "@commander-js/extra-typings";
import type { Results } from "../../results/mod.ts";
import { UsageError } from "../errors.ts";
import { csvText, envText, jsonText } from "../export/data.ts";
import { type ExportRow, exportRows } from "../export/rows.ts";
import { flagsText, type Server, serverText } from "../export/server.ts";
import { sglang } from "../export/sglang.ts";
import { vllm } from "../export/vllm.ts";
import { resultsFrom, SOURCE_HELP } from "../remote/source.ts";
import { parseContexts, wholeNumber } from "./options.ts";

const SERVERS: Readonly<Record<string, Server>> = { sglang, vllm };

const FORMATS: Readonly<Record<string, (results: Results, rows: readonly ExportRow[]) => string>> = {
  env: envText,
  json: (_, rows) => jsonText(rows),
  csv: (_, rows) => csvText(rows),
};

/** Adds the command. */
export function exportCommand() {
  return new Command("export")
    .description("print what a server's command line takes, or the configs as env, json or csv")
    .argument("<source>", SOURCE_HELP)
    .addOption(
      new Option("--for <what>", "who takes it").choices([...Object.keys(SERVERS), ...Object.keys(FORMATS)])
        .makeOptionMandatory(),
    )
    .option("--contexts <list>", "context lengths, as in 1024,4096,32k (default: those measured)", parseContexts)
    .option("--sm-count <n>", "multiprocessors (default: the whole device)", wholeNumber(1, 999_999))
    .option("--flags-only", "for a server: its flags for the longest context and nothing else, for $(…)")
    .action(async (source, { for: what, contexts, smCount, flagsOnly }) => {
      const server = Object.hasOwn(SERVERS, what) ? SERVERS[what] : undefined;
      if (flagsOnly && !server) {
        throw new UsageError(`Cannot print flags for ${what}: expected --for ${Object.keys(SERVERS).join(" or ")}`);
      }
      const results = await resultsFrom(source);
      if (server && results.kernel !== "mla_decode") {
        throw new UsageError(`Cannot export ${results.kernel} for ${what}: expected results of mla_decode`);
      }
      const rows = exportRows(results, { smCount, contexts });
      const text = server ? (flagsOnly ? flagsText : serverText)(server, results, rows) : FORMATS[what](results, rows);
      await new Blob([text]).stream().pipeTo(Deno.stdout.writable, { preventClose: true });
    });
}
