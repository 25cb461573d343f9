/**
 * Removes entries from results.
 *
 * @module
 */
import { type BySize, type Evidence, type Results, type Size, sizesOf } from "./types.ts";

/** An entry that went, and why. */
export interface PrunedEntry extends Size {
  readonly why: string;
}

/**
 * Results without the entries that `reason` gives a reason against. The argument does not change.
 *
 * @param reason Why an entry should go, in a few words; undefined where it should stay.
 */
export function pruneResults(
  results: Results,
  reason: (evidence: Evidence, size: Size) => string | undefined,
): { readonly kept: Results; readonly pruned: readonly PrunedEntry[] } {
  const pruned = sizesOf(results.evidence).flatMap((size): PrunedEntry[] => {
    const why = reason(results.evidence[size.smCount][size.contextLen], size);
    return why === undefined ? [] : [{ ...size, why }];
  });
  const gone = new Set(pruned.map(({ smCount, contextLen }) => `${smCount} ${contextLen}`));
  const without = <T>(table: BySize<T>): BySize<T> =>
    Object.fromEntries(
      Object.entries(table).flatMap(([smCount, contexts]) => {
        const left = Object.entries(contexts).filter(([contextLen]) => !gone.has(`${smCount} ${contextLen}`));
        return left.length === 0 ? [] : [[smCount, Object.fromEntries(left)]];
      }),
    );
  return { kept: { ...results, configs: without(results.configs), evidence: without(results.evidence) }, pruned };
}
