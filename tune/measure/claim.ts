/**
 * A claim: how much faster one config is than another, from rounds that were drawn for nothing else.
 *
 * @module
 */
import type { Config } from "../../kernels/space.ts";
import { type Interval, speedup } from "./statistics.ts";
import type { Timekeeper } from "./timekeeper.ts";

/** Half the width of a claim's interval, as a share, that no more rounds are taken to narrow. */
const HALF_WIDTH = 0.01;

/** Rounds at the least and at the most. */
export const FEWEST_ROUNDS = 20;
const MOST_ROUNDS = 300;

/** Rounds where there is no time left at all. */
const LAST_ROUNDS = 10;

/** What was measured. */
export interface Claim {
  /** µs of the config, and of the baseline in the same rounds. */
  readonly us: number[];
  readonly baselineUs: number[];
  /** The baseline's time over the config's, paired by rounds, and its 95 % bootstrap interval. */
  readonly speedup: number;
  readonly interval: Interval;
}

/**
 * Rounds that bring the 95 % interval of a median ratio to ± 1 %: (1.96 · 1.2533 · deviation / 0.01)², since the median of
 * n normal samples has a standard error of 1.2533/√n deviations. They are fixed before the first is run: stopping once an
 * interval looks good would make it too narrow.
 *
 * @param deviation Standard deviation of one round's log ratio.
 * @param affordable Rounds that there is time for.
 */
export function claimRounds(deviation: number, affordable: number): number {
  const wanted = Math.ceil((1.96 * 1.2533 * deviation / HALF_WIDTH) ** 2);
  const bounded = Math.min(MOST_ROUNDS, Math.max(FEWEST_ROUNDS, wanted));
  return Math.max(LAST_ROUNDS, Math.min(bounded, Math.floor(affordable)));
}

/**
 * Times a config beside the baseline, interleaved, on a device that has rested: after seconds of load the power cap slows
 * the two by different shares, and nobody who measures it again has that load behind them.
 */
export async function measureClaim(
  baseline: Config,
  config: Config,
  rounds: number,
  keeper: Timekeeper,
): Promise<Claim> {
  const [baselineUs, us] = await keeper.time([baseline, config], rounds, { rested: true });
  const { median, interval } = speedup(baselineUs, us);
  return { us, baselineUs, speedup: median, interval };
}
