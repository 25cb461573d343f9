/** What differs between two results files. */
import type { ParamValue } from "../../kernels/space.ts";
import { type Results, type Size, sizesOf } from "../../results/mod.ts";

/** A size that both have, with another config or evidence. */
export interface SizeChange extends Size {
  /** Parameters that differ: [before, after]; null where one side has no such parameter. */
  readonly params: Readonly<Record<string, readonly [ParamValue | null, ParamValue | null]>>;
  /** Median times, µs: [before, after]. */
  readonly us: readonly [number, number];
}

/** The sizes of two files. */
export interface ResultsDiff {
  readonly added: readonly Size[];
  readonly removed: readonly Size[];
  readonly changed: readonly SizeChange[];
  /** Number of sizes that are equal, config and evidence. */
  readonly same: number;
}

/** Compares `b` with `a`, size by size. */
export function diffResults(a: Results, b: Results): ResultsDiff {
  const has = ({ configs }: Results, { smCount, contextLen }: Size) => configs[smCount]?.[contextLen] !== undefined;
  const both = sizesOf(a.configs).filter((size) => has(b, size));
  const changed = both.flatMap((size) => changeAt(a, b, size));
  return {
    added: sizesOf(b.configs).filter((size) => !has(a, size)),
    removed: sizesOf(a.configs).filter((size) => !has(b, size)),
    changed,
    same: both.length - changed.length,
  };
}

function changeAt(a: Results, b: Results, { smCount, contextLen }: Size): SizeChange[] {
  const [before, after] = [a, b].map(({ configs }) => configs[smCount][contextLen]);
  const evidence = [a, b].map((results) => results.evidence[smCount][contextLen]);
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const params = Object.fromEntries(
    [...names].filter((name) => before[name] !== after[name])
      .map((name) => [name, [before[name] ?? null, after[name] ?? null] as const]),
  );
  // The reader gives fields in one order, so that equal evidence has equal text.
  const sameEvidence = JSON.stringify(evidence[0]) === JSON.stringify(evidence[1]);
  if (Object.keys(params).length === 0 && sameEvidence) return [];
  return [{ smCount, contextLen, params, us: [evidence[0].us, evidence[1].us] }];
}
