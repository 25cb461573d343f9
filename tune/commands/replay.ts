/** `tune replay`: strategies over recorded spaces, without a device. */
import { Command, Option } from "@commander-js/extra-typings";
import { UsageError } from "../errors.ts";
import { readRecordings } from "../replay/read.ts";
import { replay } from "../replay/replay.ts";
import { replayJson, replayText } from "../report/replay_table.ts";
import { DEFAULT_STRATEGY, STRATEGIES, type StrategyName } from "../search/strategies.ts";
import { callerPath, wholeNumber } from "./options.ts";

/** Adds the command. */
export function replayCommand() {
  return new Command("replay")
    .description("run a search strategy over recorded spaces, without a device")
    .requiredOption(
      "--space <files...>",
      "journals, tables, or Kernel Tuner's cache or T4 JSON; compressed with gzip or not",
    )
    .addOption(
      new Option("--strategy <names...>", "how configs are chosen").choices(Object.keys(STRATEGIES))
        .default([DEFAULT_STRATEGY]),
    )
    .option("--budget <n>", "evaluations a run; those that failed count", wholeNumber(1, 1_000_000), 220)
    .option("--seeds <n>", "runs, with seeds 1, 2, …", wholeNumber(1, 10_000), 20)
    .option("--task <text>", "of a journal with several tasks: those whose names contain this text", "")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(({ space, strategy, budget, seeds, task, json }) => {
      const all = space.flatMap((path) => readRecordings(callerPath(path)));
      const recordings = all.filter(({ name }) => name.includes(task));
      if (recordings.length === 0) {
        throw new UsageError(
          `Cannot replay task "${task}": expected a part of ${all.map(({ name }) => `"${name}"`).join(", ")}`,
        );
      }
      const results = (strategy as StrategyName[]).map((name) => ({
        strategy: name,
        replays: recordings.map((recording) => replay(recording, STRATEGIES[name], budget, seeds)),
      }));
      console.log(json ? JSON.stringify(replayJson(results, budget, seeds), null, 2) : replayText(results, budget));
    });
}
