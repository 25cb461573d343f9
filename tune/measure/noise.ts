/**
 * What a device's times are worth: the same program timed against itself (A/A).
 *
 * @module
 */
import type { Config } from "../../kernels/space.ts";
import { type Interval, logRatios, robustDeviation, speedup } from "./statistics.ts";
import type { Timekeeper } from "./timekeeper.ts";

/** Rounds between looks at the clock, and at the most. */
const STEP = 5;
const ROUNDS = 20;

/** No further rounds after this: on a slow device a few must do. */
const ENOUGH_MS = 1000;

/** What an A/A run found. All are shares: 0.01 is 1 %. */
export interface Noise {
  /** The largest difference from itself that the 95 % interval leaves open: smaller ones are not worth a claim. */
  readonly floor: number;
  /** What the interval cannot explain by chance: 0 unless it excludes 1. A difference must exceed it to be real. */
  readonly bias: number;
  /** Standard deviation of one round's ratio, robust: decides how many rounds are enough. */
  readonly deviation: number;
}

/** Times a config as two entries, interleaved as candidates are, for 20 rounds or a second. */
export async function measureNoise(config: Config, keeper: Timekeeper): Promise<Noise> {
  const started = performance.now();
  const a: number[] = [];
  const b: number[] = [];
  while (a.length < ROUNDS && (a.length === 0 || performance.now() - started < ENOUGH_MS)) {
    const [first, second] = await keeper.time([config, config], STEP);
    a.push(...first);
    b.push(...second);
  }
  return noiseOf(speedup(a, b).interval, robustDeviation(logRatios(a, b)));
}

/** @param interval Of the ratio of a program to itself. @param deviation Of one round's ratio. */
export function noiseOf([low, high]: Interval, deviation: number): Noise {
  return { floor: Math.max(Math.abs(1 - low), Math.abs(high - 1)), bias: Math.max(low - 1, 1 - high, 0), deviation };
}
