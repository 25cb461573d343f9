/**
 * Records what a verification measured in the file that it verified, as one more process that measured each entry.
 *
 * @module
 */
import { dirname } from "node:path";
import { configKey } from "../kernels/space.ts";
import { lockFolder } from "../results/files.ts";
import {
  type Config,
  type Evidence,
  parseResults,
  refreshIndexes,
  type Replicate,
  type Results,
  resultsPath,
  type Size,
  sizesOf,
  stringifyResults,
} from "../results/mod.ts";
import { FailureError, firstLine } from "./errors.ts";
import { median } from "./measure/statistics.ts";
import { acrossProcesses, type Between, betweenProcesses, type ProcessValue } from "./measure/replicates.ts";
import type { VerifiedEntry } from "./verify.ts";

/** Replicates of an entry at the most, as the results format has it: the first stays, and then the oldest goes. */
const MOST_REPLICATES = 64;

/**
 * Entries differ from process to process more or less, but hardly by so many times their median deviation and by more than
 * this share. Where there are fewer than four, there is no saying.
 */
const APART_TIMES = 5;
const APART_SHARE = 0.01;
const APART_FROM = 4;

/** What was recorded. */
export interface Recorded {
  /** The file with it. */
  readonly results: Results;
  /** Sizes that have one more replicate. */
  readonly sizes: readonly Size[];
  /** How far processes differ over all entries of the file, where any says so. */
  readonly speedup?: Between;
  readonly us?: Between;
  /** Tuned entries whose interval has 1 inside: another process may find the baseline as fast. They stay as they are. */
  readonly doubtful: readonly Size[];
  /** Entries that changed, as it seems, with their own deviation between processes: they widen all intervals. */
  readonly apart: readonly (Size & Pick<Between, "deviation">)[];
}

/** Whether a finding is a measurement of the program that the file is about: one that holds or drifted, of its sources. */
export function isReplicate({ finding, stale, measured }: VerifiedEntry): boolean {
  return measured !== undefined && !stale && (finding === "holds" || finding === "drifted");
}

/**
 * The results with the measurements of `entries` as further replicates. Values become geometric means over the replicates
 * of an entry, and intervals those of {@linkcode acrossProcesses}, with a deviation that all entries say together: entries
 * that have replicates from earlier change with it. Configs, and entries that one process measured, stay.
 */
export function withReplicates(results: Results, entries: readonly VerifiedEntry[]): Recorded {
  const evidence = Object.fromEntries(
    Object.entries(results.evidence).map(([smCount, contexts]) => [smCount, { ...contexts }]),
  );
  const recorded = entries.filter(isReplicate);
  for (const { smCount, contextLen, measured } of recorded) {
    const old = evidence[smCount][contextLen];
    const [first, ...later] = old.replicates ?? [replicateOf(old)];
    const replicates = [
      first,
      ...[...later, replicateOf({ ...measured!, samples: measured!.rounds })].slice(1 - MOST_REPLICATES),
    ];
    evidence[smCount][contextLen] = { ...old, replicates };
  }

  const repeated = sizesOf(evidence).filter(({ smCount, contextLen }) => evidence[smCount][contextLen].replicates);
  const at = ({ smCount, contextLen }: Size) => ({
    config: results.configs[smCount][contextLen],
    old: evidence[smCount][contextLen],
  });
  // The baseline against itself is 1 by definition: that no process differs there says nothing.
  const tuned = repeated.filter((size) => !isBaseline(at(size)));
  const speedup = betweenProcesses(tuned.map((size) => speedups(at(size).old)));
  const us = betweenProcesses(repeated.map((size) => times(at(size).old)));
  const doubtful: Size[] = [];
  for (const size of repeated) {
    const one = at(size);
    const changed = combined(one.old, us!, isBaseline(one) ? undefined : speedup);
    evidence[size.smCount][size.contextLen] = changed;
    if (changed.chosen === "tuned" && changed.speedupInterval[0] <= 1) doubtful.push(size);
  }
  return {
    results: { ...results, evidence },
    sizes: recorded.map(({ smCount, contextLen }) => ({ smCount, contextLen })),
    ...(speedup && { speedup }),
    ...(us && { us }),
    doubtful,
    apart: apartOf(tuned.map((size) => ({ ...size, ...betweenProcesses([speedups(at(size).old)])! }))),
  };
}

/**
 * Writes {@linkcode withReplicates} into the file that was verified: aside, and then into place by a rename. Where the file
 * is in a registry's folder, its indexes follow.
 *
 * @param path Of the file that `results` were read from.
 * @throws {FailureError} Where the file changed since it was read, or cannot be written; it stays as it is.
 */
export async function recordInto(path: string, results: Results, entries: readonly VerifiedEntry[]): Promise<Recorded> {
  const recorded = withReplicates(results, entries);
  if (recorded.sizes.length === 0) return recorded;
  try {
    using lock = await lockFolder(dirname(path));
    const there = parseResults(await Deno.readTextFile(path));
    if (stringifyResults(there) !== stringifyResults(results)) {
      throw new Error("it changed while it was measured, expected the file that was verified; verify it again");
    }
    await lock.replace(path, stringifyResults(parseResults(recorded.results)));
    const below = resultsPath(results);
    if (path.endsWith(`/${below}`)) await refreshIndexes(path.slice(0, -below.length - 1), below);
  } catch (error) {
    throw new FailureError(`Cannot record into "${path}": ${firstLine(error)}`);
  }
  return recorded;
}

function apartOf(sizes: readonly (Size & Between)[]): Recorded["apart"] {
  if (sizes.length < APART_FROM) return [];
  const usual = median(sizes.map(({ deviation }) => deviation));
  return sizes.filter(({ deviation }) => deviation > Math.max(APART_SHARE, APART_TIMES * usual))
    .map(({ smCount, contextLen, deviation }) => ({ smCount, contextLen, deviation }));
}

function isBaseline({ config, old }: { config: Config; old: Evidence }): boolean {
  return configKey(config) === configKey(old.baselineConfig);
}

function replicateOf(
  { us, interval, samples, baselineUs, speedup, speedupInterval, toolchain, driver, date }: Replicate,
): Replicate {
  return { us, interval, samples, baselineUs, speedup, speedupInterval, toolchain, driver, date };
}

const times = ({ replicates = [] }: Evidence): ProcessValue[] =>
  replicates.map(({ us, interval }) => ({ value: us, interval }));

const speedups = ({ replicates = [] }: Evidence): ProcessValue[] =>
  replicates.map(({ speedup, speedupInterval }) => ({ value: speedup, interval: speedupInterval }));

/** Evidence with the values and intervals that its replicates give; the speed-up stays where no deviation is given. */
function combined(old: Evidence, between: Between, betweenSpeedups: Between | undefined): Evidence {
  const { value: us, interval } = acrossProcesses(times(old), between);
  const { value: speedup, interval: speedupInterval } = betweenSpeedups === undefined
    ? { value: old.speedup, interval: old.speedupInterval }
    : acrossProcesses(speedups(old), betweenSpeedups);
  const logs = old.replicates!.map(({ baselineUs }) => Math.log(baselineUs));
  return {
    ...old,
    us,
    interval,
    samples: old.replicates!.reduce((sum, { samples }) => sum + samples, 0),
    baselineUs: Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length),
    speedup,
    speedupInterval,
    // They are shares of the time, which changed.
    gbps: old.gbps * old.us / us,
    tflops: old.tflops * old.us / us,
  };
}
