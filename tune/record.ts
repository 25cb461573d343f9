/**
 * Records what a verification measured in the file that it verified, as one more process that measured each entry.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
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
import { acrossProcesses, type Between, betweenProcesses, moderated, type ProcessValue } from "./measure/replicates.ts";
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

/** How far processes differ over all entries of a file, where any says so. */
interface Deviations {
  readonly speedup?: Between;
  readonly us?: Between;
}

/** What was recorded, and how far processes differ in the file. */
export interface Recorded extends Deviations {
  /** The file with it. */
  readonly results: Results;
  /** Sizes that have one more replicate. */
  readonly sizes: readonly Size[];
  /** Other files of the device that have replicates: the intervals go by them, too. */
  readonly others: number;
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
 *
 * @param others Other files of the same device and backend.
 */
export function withReplicates(
  results: Results,
  entries: readonly VerifiedEntry[],
  others: readonly Results[] = [],
): Recorded {
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

  const repeated = repeatedIn({ ...results, evidence });
  const own = deviationsOf(repeated);
  const theirs = others.map((other) => deviationsOf(repeatedIn(other))).filter(({ us }) => us);
  const processes = Math.max(...repeated.map(({ old }) => old.replicates!.length));
  const amongAll = (value: keyof Deviations) =>
    own[value] && moderated(own[value], processes, theirs.flatMap((one) => one[value] ?? []));
  const [speedup, us] = [amongAll("speedup"), amongAll("us")];
  const doubtful: Size[] = [];
  for (const one of repeated) {
    const { smCount, contextLen } = one;
    const changed = combined(one.old, us!, isBaseline(one) ? undefined : speedup);
    evidence[smCount][contextLen] = changed;
    if (changed.chosen === "tuned" && changed.speedupInterval[0] <= 1) doubtful.push({ smCount, contextLen });
  }
  return {
    results: { ...results, evidence },
    sizes: recorded.map(({ smCount, contextLen }) => ({ smCount, contextLen })),
    ...own,
    others: theirs.length,
    doubtful,
    apart: apartOf(tunedOf(repeated)),
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
  try {
    const recorded = withReplicates(results, entries, await othersOf(path, results));
    if (recorded.sizes.length === 0) return recorded;
    using lock = await lockFolder(dirname(path));
    const there = parseResults(await Deno.readTextFile(path));
    if (stringifyResults(there) !== stringifyResults(results)) {
      throw new Error("it changed while it was measured, expected the file that was verified; verify it again");
    }
    await lock.replace(path, stringifyResults(parseResults(recorded.results)));
    const below = resultsPath(results);
    if (path.endsWith(`/${below}`)) await refreshIndexes(path.slice(0, -below.length - 1), below);
    return recorded;
  } catch (error) {
    throw new FailureError(`Cannot record into "${path}": ${firstLine(error)}`);
  }
}

/** The other results beside a file that are about its device. */
async function othersOf(path: string, { kernel, backend, device }: Results): Promise<Results[]> {
  const others: Results[] = [];
  for await (const { name } of Deno.readDir(dirname(path))) {
    if (!name.endsWith(".json") || name === basename(path)) continue;
    try {
      const one = parseResults(await Deno.readTextFile(join(dirname(path), name)));
      if (one.kernel === kernel && one.backend === backend && one.device.name === device.name) others.push(one);
    } catch {
      // An index, or of no use to anybody: it is not what was asked to be recorded into.
    }
  }
  return others;
}

/** An entry that has replicates. */
interface Repeated extends Size {
  readonly config: Config;
  readonly old: Evidence;
}

function repeatedIn({ configs, evidence }: Results): Repeated[] {
  return sizesOf(evidence).flatMap(({ smCount, contextLen }) => {
    const old = evidence[smCount][contextLen];
    return old.replicates ? [{ smCount, contextLen, config: configs[smCount][contextLen], old }] : [];
  });
}

/** The baseline against itself is 1 by definition: that no process differs there says nothing. */
const tunedOf = (repeated: readonly Repeated[]) => repeated.filter((one) => !isBaseline(one));

/** How far processes differ in the speed-ups of tuned entries, and in the times. */
function deviationsOf(repeated: readonly Repeated[]): Deviations {
  const speedup = betweenProcesses(tunedOf(repeated).map(({ old }) => speedups(old)));
  const us = betweenProcesses(repeated.map(({ old }) => times(old)));
  return { ...(speedup && { speedup }), ...(us && { us }) };
}

function apartOf(tuned: readonly Repeated[]): Recorded["apart"] {
  if (tuned.length < APART_FROM) return [];
  const sizes = tuned.map(({ smCount, contextLen, old }) => {
    return { smCount, contextLen, deviation: betweenProcesses([speedups(old)])!.deviation };
  });
  const usual = median(sizes.map(({ deviation }) => deviation));
  return sizes.filter(({ deviation }) => deviation > Math.max(APART_SHARE, APART_TIMES * usual));
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
