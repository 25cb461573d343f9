/** Replays as text and as data. */
import { foundAt, meanAt, medianAt, type Replay } from "../replay/replay.ts";
import type { StrategyName } from "../search/strategies.ts";
import { tableText } from "./table.ts";

/** Evaluations at which strategies are compared, as far as the budget goes. */
const MILESTONES = [20, 50, 100, 220];

/** A strategy's replays of the same recordings. */
export interface StrategyReplays {
  readonly strategy: StrategyName;
  readonly replays: readonly Replay[];
}

/** A table: a row for each recording and strategy, and one for each strategy's mean. */
export function replayText(results: readonly StrategyReplays[], budget: number): string {
  const marks = milestones(budget);
  const rows = results.flatMap(({ strategy, replays }) => {
    const own = replays.map((replay) => [
      replay.recording,
      `${replay.configs}${replay.failed > 0 ? ` (${replay.failed} failed)` : ""}`,
      strategy,
      ...marks.map((mark) => medianAt(replay, mark).toFixed(4)),
      `${Math.round(foundAt(replay, budget) * 100)} %`,
      replay.strategyMs.toFixed(2),
    ]);
    const mean = ["geometric mean", "", strategy, ...marks.map((mark) => meanAt(replays, mark).toFixed(4)), "", ""];
    return replays.length > 1 ? [...own, mean] : own;
  });
  const heads = [
    "space",
    "configs",
    "strategy",
    ...marks.map((mark) => `@${mark}`),
    `≤ 5 % @${budget}`,
    "ms/evaluation",
  ];
  const right = Object.fromEntries(
    heads.filter((head) => head !== "space" && head !== "strategy")
      .map((head) => [head, { right: true }]),
  );
  return `${tableText(heads, rows, right)}\n@n: best ÷ optimum after n evaluations, the median over the seeds`;
}

/** The same as data. A median of no finite value (nothing ran yet) is null. */
export function replayJson(results: readonly StrategyReplays[], budget: number, seeds: number) {
  const marks = milestones(budget);
  const at = (of: (mark: number) => number) => Object.fromEntries(marks.map((mark) => [mark, of(mark)]));
  return {
    budget,
    seeds,
    strategies: results.map(({ strategy, replays }) => ({
      strategy,
      geometricMean: at((mark) => meanAt(replays, mark)),
      spaces: replays.map((replay) => ({
        space: replay.recording,
        configs: replay.configs,
        failed: replay.failed,
        median: at((mark) => medianAt(replay, mark)),
        within1Percent: at((mark) => foundAt(replay, mark, 0.01)),
        within5Percent: at((mark) => foundAt(replay, mark)),
        msPerEvaluation: replay.strategyMs,
      })),
    })),
  };
}

function milestones(budget: number): number[] {
  return [...MILESTONES.filter((mark) => mark < budget), budget];
}
