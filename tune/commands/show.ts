/** `tune show`: a results file for people. */
import { Command } from "@commander-js/extra-typings";
import { resultsFrom, SOURCE_HELP } from "../remote/source.ts";
import { diffResults } from "../report/results_diff.ts";
import { diffText, resultsText } from "../report/results_table.ts";

/** Adds the command. */
export function showCommand() {
  return new Command("show")
    .description("show a results file as a table, or what differs between two")
    .argument("<source>", SOURCE_HELP)
    .option("--diff <source>", "show what differs from the first to this one")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (source, { diff, json }) => {
      const results = await resultsFrom(source);
      if (diff === undefined) {
        console.log(json ? JSON.stringify(results, null, 2) : resultsText(results));
        return;
      }
      const other = await resultsFrom(diff);
      const differences = diffResults(results, other);
      console.log(json ? JSON.stringify(differences, null, 2) : diffText(results, other, differences));
    });
}
