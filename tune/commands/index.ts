/** `tune index`: makes a results folder a registry. */
import { Command } from "@commander-js/extra-typings";
import { INDEX_NAME, writeIndexes } from "../../results/mod.ts";
import { FailureError, firstLine } from "../errors.ts";
import { bytesText } from "../report/format.ts";
import { tableText } from "../report/table.ts";
import { existingResultsDir, RESULTS_OPTION } from "./options.ts";

/** Adds the command. */
export function indexCommand() {
  return new Command("index")
    .description(`list a results folder with hashes in ${INDEX_NAME}, there and in each device's folder`)
    .option(...RESULTS_OPTION)
    .option("--check", "write nothing, and fail where an index is not up to date")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async ({ results, check = false, json }) => {
      const { index, outdated } = await writeIndexes(existingResultsDir(results), { dryRun: check }).catch((error) => {
        throw new FailureError(firstLine(error));
      });
      const files = Object.entries(index.files);
      if (json) console.log(JSON.stringify({ index, outdated }, null, 2));
      else if (files.length > 0) {
        console.log(tableText(
          ["file", "entries", "tuned", "best", "newest", "size", "SHA-256"],
          files.map(([path, entry]) => [
            path,
            String(entry.entries),
            String(entry.tuned),
            entry.bestSpeedup === undefined ? "–" : `${entry.bestSpeedup.toFixed(2)}×`,
            entry.newest?.slice(0, 10) ?? "–",
            bytesText(entry.bytes),
            entry.sha256.slice(0, 12),
          ]),
          { entries: { right: true }, tuned: { right: true }, best: { right: true }, size: { right: true } },
        ));
      }
      if (check && outdated.length > 0) {
        throw new FailureError(`Not up to date: ${outdated.join(", ")}; deno run tune index writes them`);
      }
      if (!json) console.log(outdated.length === 0 ? "Up to date" : `Written: ${outdated.join(", ")}`);
    });
}
