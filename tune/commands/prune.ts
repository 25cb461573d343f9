/** `tune prune`: stale and old entries out of a results folder. */
import { Command } from "@commander-js/extra-typings";
import { InvalidArgumentError } from "commander";
import { FailureError, firstLine, UsageError } from "../errors.ts";
import { type PrunedFile, pruneFolder } from "../prune.ts";
import { tableText } from "../report/table.ts";
import { existingResultsDir, RESULTS_OPTION } from "./options.ts";

/** Adds the command. */
export function pruneCommand() {
  return new Command("prune")
    .description("remove entries from a results folder, and files that are left with none")
    .option(...RESULTS_OPTION)
    .option("--stale", "entries measured with other kernel sources than this copy of kvtune has")
    .option("--before <date>", "entries measured before this day, as in 2026-11-22 (UTC)", parseDay)
    .option("--untuned", "entries where nothing was faster than the baseline")
    .option("--dry-run", "say what would go, and remove nothing")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async ({ results, stale, before, untuned, dryRun = false, json }) => {
      if (!stale && !before && !untuned) {
        throw new UsageError("Cannot prune without a rule: expected --stale, --before or --untuned");
      }
      const files = await pruneFolder(existingResultsDir(results), { stale, before, untuned }, { dryRun }).catch(
        (error) => {
          throw new FailureError(firstLine(error));
        },
      );
      console.log(json ? JSON.stringify({ dryRun, files }, null, 2) : pruneText(files, dryRun));
    });
}

function parseDay(text: string): Date {
  const day = new Date(`${text}T00:00:00Z`);
  // JavaScript reads February 30 as March 2: what is read must say the same again.
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)) return day;
  throw new InvalidArgumentError(`"${text}" is no day, expected for example 2026-11-22`);
}

function pruneText(files: readonly PrunedFile[], dryRun: boolean): string {
  if (files.length === 0) return "Nothing to remove";
  const rows = files.flatMap(({ path, pruned, left }) =>
    pruned.map(({ smCount, contextLen, why }) => [
      path + (left === 0 ? " (whole file)" : ""),
      String(smCount),
      String(contextLen),
      why,
    ])
  );
  const right = { right: true };
  const table = tableText(["file", "SMs", "context", "why"], rows, { SMs: right, context: right });
  return `${table}\n${dryRun ? "Would remove" : "Removed"} ${rows.length} ${rows.length === 1 ? "entry" : "entries"}`;
}
