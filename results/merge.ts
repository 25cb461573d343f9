/**
 * Joins fresh results with those of an earlier run. An entry is replaced only by better evidence.
 *
 * @module
 */
import { configKey } from "../kernels/space.ts";
import { type BySize, type Config, type Evidence, type Results, type Size, sizesOf } from "./types.ts";

/** What became of one fresh entry, and why in a few words. */
export interface MergedEntry extends Size {
  /** For example "same config, narrower interval". */
  readonly why: string;
}

/** How results are merged. */
export interface MergeOptions {
  /** Sizes whose earlier entry is known to hold no longer, for example from measuring it again. */
  readonly outdated?: readonly Size[];
}

/** What a merge did. Every fresh entry is in one of the three lists. */
export interface Merge {
  /** What the file should have now. */
  readonly merged: Results;
  /** Sizes that were not there before. */
  readonly added: readonly MergedEntry[];
  /** Sizes whose earlier entry gave way. */
  readonly replaced: readonly MergedEntry[];
  /** Sizes whose earlier entry stays. */
  readonly kept: readonly MergedEntry[];
}

/**
 * Merges two results of the same kernel, backend, device and problem. Neither argument changes.
 *
 * At a size that both have, the fresh entry replaces the earlier one in four cases:
 *
 * - the caller knows that the earlier one is outdated;
 * - the earlier one is stale: it has another source hash, driver or toolchain;
 * - both have the same config, and the fresh one has more replicates, or as many and an interval that is narrower in
 *   proportion to its time: an interval within one process says nothing of the next one;
 * - they have different configs, and the fresh interval lies wholly below the earlier one.
 *
 * Times of different clocks, of cold and warm caches, or of a partition and a whole device do not compare: the earlier
 * entry stays. So merging the same results twice changes nothing the second time.
 *
 * @param existing What was there, or undefined for nothing.
 * @throws {TypeError} Where the two are not about the same thing; the message names the field and both values.
 */
export function mergeResults(
  existing: Results | undefined,
  fresh: Results,
  { outdated = [] }: MergeOptions = {},
): Merge {
  if (existing !== undefined) requireSameSubject(existing, fresh);
  const configs = copy(existing?.configs);
  const evidence = copy(existing?.evidence);
  const lists: Record<"added" | "replaced" | "kept", MergedEntry[]> = { added: [], replaced: [], kept: [] };
  for (const size of sizesOf(fresh.configs)) {
    const { smCount, contextLen } = size;
    const entry = entryAt(fresh, size)!;
    const old = existing && entryAt(existing, size);
    const gone = outdated.some((one) => one.smCount === smCount && one.contextLen === contextLen);
    const { list, why } = old && gone ? { list: "replaced" as const, why: "outdated" } : decide(old, entry);
    lists[list].push({ ...size, why });
    if (list === "kept") continue;
    (configs[smCount] ??= {})[contextLen] = entry.config;
    (evidence[smCount] ??= {})[contextLen] = entry.evidence;
  }
  const smCount = Math.max(fresh.device.smCount, existing?.device.smCount ?? 0);
  return { merged: { ...fresh, device: { ...fresh.device, smCount }, configs, evidence }, ...lists };
}

interface Entry {
  readonly config: Config;
  readonly evidence: Evidence;
}

function decide(old: Entry | undefined, fresh: Entry): { list: "added" | "replaced" | "kept"; why: string } {
  if (old === undefined) return { list: "added", why: "new" };
  for (const field of ["sourceHash", "driver", "toolchain"] as const) {
    if (old.evidence[field] !== fresh.evidence[field]) return { list: "replaced", why: `stale: other ${field}` };
  }
  for (const field of ["clock", "coldCache", "partition"] as const) {
    if (old.evidence[field] !== fresh.evidence[field]) return { list: "kept", why: `not comparable: other ${field}` };
  }
  if (configKey(old.config) === configKey(fresh.config)) {
    const [before, now] = [replicatesOf(old.evidence), replicatesOf(fresh.evidence)];
    if (now > before) return { list: "replaced", why: "same config, more replicates" };
    if (now < before) return { list: "kept", why: "same config, fewer replicates" };
    return relativeWidth(fresh.evidence) < relativeWidth(old.evidence)
      ? { list: "replaced", why: "same config, narrower interval" }
      : { list: "kept", why: "same config, interval no narrower" };
  }
  return fresh.evidence.interval[1] < old.evidence.interval[0]
    ? { list: "replaced", why: "faster beyond doubt" }
    : { list: "kept", why: "not faster beyond doubt" };
}

function replicatesOf({ replicates }: Evidence): number {
  return replicates?.length ?? 1;
}

function relativeWidth({ us, interval: [low, high] }: Evidence): number {
  return (high - low) / us;
}

function entryAt({ configs, evidence }: Results, { smCount, contextLen }: Size): Entry | undefined {
  const config = configs[smCount]?.[contextLen];
  return config && { config, evidence: evidence[smCount][contextLen] };
}

function copy<T>(table: BySize<T> = {}): Record<string, Record<string, T>> {
  return Object.fromEntries(Object.entries(table).map(([smCount, contexts]) => [smCount, { ...contexts }]));
}

function requireSameSubject(existing: Results, fresh: Results): void {
  const subject = ({ kernel, backend, device, problem }: Results): Record<string, unknown> => ({
    kernel,
    backend,
    "device.name": device.name,
    ...Object.fromEntries(Object.entries(problem).map(([name, value]) => [`problem.${name}`, value])),
  });
  const [a, b] = [subject(existing), subject(fresh)];
  for (const field of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (a[field] !== b[field]) {
      throw new TypeError(
        `Cannot merge results: ${field} is ${JSON.stringify(a[field])} in the earlier ones and ` +
          `${JSON.stringify(b[field])} in the fresh ones, expected the same`,
      );
    }
  }
}
