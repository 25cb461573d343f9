/** `tune compare`: results files side by side. */
import { Command } from "@commander-js/extra-typings";
import { compare } from "../compare.ts";
import { UsageError } from "../errors.ts";
import { resultsFrom } from "../remote/source.ts";
import { compareText } from "../report/compare_table.ts";

/** Adds the command. */
export function compareCommand() {
  return new Command("compare")
    .description("show results files side by side, by SM count and context length, with ratios to the first")
    .argument("<files...>", "two results files or more, or their URLs")
    .option("--baselines", "show each file's baseline as well, and how much slower it is")
    .option("--common", "leave out sizes that a file lacks")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (sources, { json, baselines, common }) => {
      if (sources.length < 2) throw new UsageError(`Cannot compare "${sources[0]}" alone: expected two files or more`);
      const files = await Promise.all(sources.map(resultsFrom));
      let comparison;
      try {
        comparison = compare(files, { common });
      } catch (error) {
        if (error instanceof RangeError) throw new UsageError(error.message);
        throw error;
      }
      if (!json) return console.log(compareText(comparison, files, sources, { baselines }));
      const about = files.map(({ kernel, backend, device, problem }, i) => ({
        source: sources[i],
        kernel,
        backend,
        device,
        problem,
      }));
      console.log(JSON.stringify({ files: about, ...comparison }, null, 2));
    });
}
