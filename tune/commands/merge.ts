/** `tune merge`: other results into a folder. */
import { Command } from "@commander-js/extra-typings";
import { join, relative } from "node:path";
import { type MergedEntry, resultsFiles, writeResults, type Written } from "../../results/mod.ts";
import { FailureError, firstLine } from "../errors.ts";
import { isUrl, resultsFrom } from "../remote/source.ts";
import { tableText } from "../report/table.ts";
import { callerPath, RESULTS_OPTION, resultsDir } from "./options.ts";

/** Adds the command. */
export function mergeCommand() {
  return new Command("merge")
    .description("merge results into a folder: an entry that is there gives way only to better evidence")
    .argument("<sources...>", "results files, folders of them, or URLs")
    .option(...RESULTS_OPTION)
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (sources, { results, json }) => {
      const written: Written[] = [];
      // All are read before the first is written: a wrong one among them changes nothing.
      const all = await Promise.all((await Promise.all(sources.map(filesOf))).flat().map(resultsFrom));
      for (const fresh of all) {
        written.push(
          await writeResults(resultsDir(results), fresh).catch((error) => {
            throw new FailureError(firstLine(error));
          }),
        );
      }
      if (json) console.log(JSON.stringify(written, null, 2));
      else console.log(mergeText(resultsDir(results), written));
    });
}

/** A folder's files, or the one file or URL. */
async function filesOf(source: string): Promise<string[]> {
  const isFolder = !isUrl(source) && await Deno.stat(callerPath(source)).then((stat) => stat.isDirectory, () => false);
  if (!isFolder) return [source];
  const files = await resultsFiles(callerPath(source));
  if (files.length === 0) throw new FailureError(`Cannot merge "${source}": no results files are below it`);
  return files.map((file) => join(source, file));
}

function mergeText(dir: string, written: readonly Written[]): string {
  const rows = written.flatMap(({ path, added, replaced, kept }) => {
    const row = (what: string) => ({ smCount, contextLen, why }: MergedEntry) => [
      relative(dir, path),
      String(smCount),
      String(contextLen),
      what,
      why,
    ];
    return [...added.map(row("added")), ...replaced.map(row("replaced")), ...kept.map(row("kept"))];
  });
  const right = { right: true };
  return tableText(["file", "SMs", "context", "entry", "why"], rows, { SMs: right, context: right });
}
