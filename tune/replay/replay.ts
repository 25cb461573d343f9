/**
 * Replays strategies over recordings.
 *
 * @module
 */
import { median } from "../measure/statistics.ts";
import type { StrategyFactory } from "../search/strategy.ts";
import type { Recording } from "./recording.ts";

/** A config this close to the optimum, as a share, counts as found. */
export const FOUND = 0.05;

/** What a strategy did on a recording. */
export interface Replay {
  readonly recording: string;
  /** Configs of the space, and how many of them failed. */
  readonly configs: number;
  readonly failed: number;
  /** [seeds][budget] The best cost after each evaluation, as a multiple of the optimum. Failures are evaluations. */
  readonly curves: readonly (readonly number[])[];
  /** Time that the strategy itself took, in ms an evaluation. */
  readonly strategyMs: number;
}

/**
 * Runs a strategy over a recording.
 *
 * @param budget Evaluations of a run.
 * @param seeds Runs; their seeds are 1, 2, …
 */
export function replay(recording: Recording, strategy: StrategyFactory, budget: number, seeds: number): Replay {
  const { space, entries, optimum } = recording;
  const curves: number[][] = [];
  const started = performance.now();
  for (let seed = 1; seed <= seeds; seed++) {
    const run = strategy(space, seed);
    const curve: number[] = [];
    let best = Infinity;
    while (curve.length < budget) {
      const config = run.ask();
      if (!config) break;
      const cost = recording.costOf(config);
      run.tell({ config, cost });
      best = Math.min(best, (cost ?? Infinity) / optimum);
      curve.push(best);
    }
    while (curve.length < budget) curve.push(best); // The space is used up.
    curves.push(curve);
  }
  return {
    recording: recording.name,
    configs: entries.length,
    failed: entries.filter(({ cost }) => cost === undefined).length,
    curves,
    strategyMs: (performance.now() - started) / (budget * seeds),
  };
}

/** The median over the seeds of best ÷ optimum after so many evaluations. */
export function medianAt({ curves }: Replay, evaluations: number): number {
  return median(curves.map((curve) => curve[evaluations - 1]));
}

/** The share of seeds within {@linkcode FOUND}, or another share, of the optimum after so many evaluations. */
export function foundAt({ curves }: Replay, evaluations: number, share: number = FOUND): number {
  return curves.filter((curve) => curve[evaluations - 1] <= 1 + share).length / curves.length;
}

/** The geometric mean over replays of {@linkcode medianAt}. */
export function meanAt(replays: readonly Replay[], evaluations: number): number {
  return Math.exp(replays.reduce((sum, one) => sum + Math.log(medianAt(one, evaluations)), 0) / replays.length);
}
