/**
 * The statistics of measured times.
 *
 * @module
 */
import { median, quantileSorted } from "simple-statistics";
import { randomSource } from "../../kernels/random_source.ts";

export { median } from "simple-statistics";

/** A closed interval. */
export type Interval = readonly [low: number, high: number];

/** Resamples of a bootstrap: the ends of a 95 % interval move by under 1 % of its width beyond this. */
const RESAMPLES = 2000;

/**
 * The percentile bootstrap interval of a statistic of samples that were taken together, round by round: rounds are
 * resampled whole, so that drift that both sides saw cancels (Efron & Tibshirani, An Introduction to the Bootstrap, 1993).
 *
 * @param rounds Number of rounds.
 * @param statistic Of the rounds whose indices it is given.
 * @param level Coverage, 0.95 by default.
 */
export function bootstrapInterval(
  rounds: number,
  statistic: (picked: Int32Array) => number,
  { level = 0.95, seed = 1 }: { level?: number; seed?: number } = {},
): Interval {
  const random = randomSource(seed);
  const picked = new Int32Array(rounds);
  const values = new Float64Array(RESAMPLES);
  for (let i = 0; i < RESAMPLES; i++) {
    for (let k = 0; k < rounds; k++) picked[k] = Math.floor(random() * rounds);
    values[i] = statistic(picked);
  }
  const sorted = Array.from(values.sort());
  return [quantileSorted(sorted, (1 - level) / 2), quantileSorted(sorted, (1 + level) / 2)];
}

/** The median of `samples` and its 95 % bootstrap interval. */
export function medianInterval(samples: readonly number[]): { median: number; interval: Interval } {
  const interval = bootstrapInterval(samples.length, (picked) => median(Array.from(picked, (i) => samples[i])));
  return { median: median([...samples]), interval };
}

/**
 * How many times faster B is than A, from paired samples: the median over the rounds of A's time over B's, and its 95 %
 * bootstrap interval.
 *
 * @param a Times of A, a round each.
 * @param b Times of B in the same rounds.
 */
export function speedup(a: readonly number[], b: readonly number[]): { median: number; interval: Interval } {
  return medianInterval(a.map((time, round) => time / b[round]));
}
