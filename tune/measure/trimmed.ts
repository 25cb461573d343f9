/**
 * Intervals for decisions during a race: narrow from few samples, at any level, and not moved by outliers.
 *
 * @module
 */
import { probit } from "simple-statistics";

/** The share of samples that is left out at each end. */
const TRIM = 0.1;

/** Samples below which there is no interval: one outlier at each end must be able to fall out. */
const LEAST = 6;

/** A trimmed mean and half the width of its interval. */
export interface TrimmedInterval {
  readonly mean: number;
  readonly half: number;
}

/**
 * The trimmed mean and its interval by Student's t on the winsorised variance (Tukey & McLaughlin, Less vulnerable
 * confidence and significance procedures, Sankhyā A 25, 1963).
 *
 * @param samples Fewer than 6 have an infinite interval.
 * @param alpha The chance that the interval misses on either side.
 */
export function trimmedInterval(samples: readonly number[], alpha: number): TrimmedInterval {
  const sorted = Float64Array.from(samples).sort();
  const n = sorted.length;
  const cut = Math.max(n >= LEAST ? 1 : 0, Math.floor(TRIM * n));
  const kept = n - 2 * cut;
  let sum = 0;
  for (let i = cut; i < n - cut; i++) sum += sorted[i];
  const mean = sum / kept;
  if (n < LEAST) return { mean, half: Infinity };
  const [low, high] = [sorted[cut], sorted[n - 1 - cut]];
  const winsorisedMean = (sum + cut * (low + high)) / n;
  let squares = cut * ((low - winsorisedMean) ** 2 + (high - winsorisedMean) ** 2);
  for (let i = cut; i < n - cut; i++) squares += (sorted[i] - winsorisedMean) ** 2;
  const error = Math.sqrt(squares / (n - 1)) * Math.sqrt(n) / kept;
  return { mean, half: studentQuantile(1 - alpha / 2, kept - 1) * error };
}

/**
 * Student's t by Abramowitz & Stegun, 26.7.5: within 3 % at 5 degrees of freedom for p up to 0.9995, better beyond.
 *
 * @param p Above 0.5.
 * @param degrees Of freedom, 3 or more.
 */
export function studentQuantile(p: number, degrees: number): number {
  const z = probit(p);
  const powers = [z, z ** 3, z ** 5, z ** 7, z ** 9];
  const terms = [[1, 1], [3, 16, 5], [-15, 17, 19, 3], [-945, -1920, 1482, 776, 79]];
  const scales = [4, 96, 384, 92160];
  return terms.reduce(
    (t, coefficients, i) =>
      t + coefficients.reduce((sum, c, k) => sum + c * powers[k], 0) / scales[i] / degrees ** (i + 1),
    z,
  );
}
