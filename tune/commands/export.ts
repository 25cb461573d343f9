/** `tune export`: results, or what a journal recorded, in the form that others take. */
import { Command, Option } from "@commander-js/extra-typings";
import type { Results } from "../../results/mod.ts";
import { UsageError } from "../errors.ts";
import { csvText, envText, jsonText } from "../export/data.ts";
import { type ExportRow, exportRows } from "../export/rows.ts";
import { flagsText, type Server, serverText } from "../export/server.ts";
import { sglang } from "../export/sglang.ts";
import { vllm } from "../export/vllm.ts";
import { resultsFrom, SOURCE_HELP } from "../remote/source.ts";
import { exportJournal, JOURNAL_FORMATS } from "../replay/export.ts";
import { callerPath, parseContexts, wholeNumber } from "./options.ts";
import { DEFAULT_JOURNAL } from "./sweep.ts";

const SERVERS: Readonly<Record<string, Server>> = { sglang, vllm };

const FORMATS: Readonly<Record<string, (results: Results, rows: readonly ExportRow[]) => string>> = {
  env: envText,
  json: (_, rows) => jsonText(rows),
  csv: (_, rows) => csvText(rows),
};

/** What the user asked for of results. */
interface ResultsExport {
  readonly contexts?: readonly number[];
  readonly smCount?: number;
  readonly flagsOnly?: true;
}

/** Adds the command. */
export function exportCommand() {
  return new Command("export")
    .description("print what a server's command line takes, configs as data, or what a journal recorded")
    .argument("[source]", `with --for: ${SOURCE_HELP}`)
    .addOption(
      new Option("--for <what>", "who takes the results").choices([...Object.keys(SERVERS), ...Object.keys(FORMATS)]),
    )
    .option("--contexts <list>", "context lengths, as in 1024,4096,32k (default: those measured)", parseContexts)
    .option("--sm-count <n>", "multiprocessors (default: the whole device)", wholeNumber(1, 999_999))
    .option("--flags-only", "for a server: its flags for the longest context and nothing else, for $(…)")
    .addOption(
      new Option("--format <name>", "of a journal: auto-tuners' common JSON, or a space to replay, compressed")
        .choices(JOURNAL_FORMATS).conflicts("for"),
    )
    .option("--journal <file>", "the journal", DEFAULT_JOURNAL)
    .option("--task <text>", "of a journal with several tasks: the one whose name contains this text", "")
    .option("--output <file>", "where to write what a journal recorded (default: stdout)")
    .action(async (source, { for: what, format, journal, task, output, ...asked }) => {
      if (format !== undefined && source === undefined) {
        await exportJournal({
          format,
          journal: journal === DEFAULT_JOURNAL ? journal : callerPath(journal),
          task,
          ...(output !== undefined && { output: callerPath(output) }),
        });
      } else if (what !== undefined && source !== undefined) {
        await exportResults(source, what, asked);
      } else {
        throw new UsageError("Cannot export: expected a results file and --for, or --format for a journal");
      }
    });
}

async function exportResults(source: string, what: string, { contexts, smCount, flagsOnly }: ResultsExport) {
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
}
