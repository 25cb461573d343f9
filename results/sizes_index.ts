/**
 * The sizes of a results table, indexed once so that lookups need not search.
 *
 * @module
 */
import { type PointTree, pointTree } from "./nearest.ts";
import type { BySize, Config, Size } from "./types.ts";

/** Every size of a table at its place: by SM count and then context length, ascending. */
export interface SizesIndex<C extends Config> {
  readonly entries: readonly { readonly size: Size; readonly config: C }[];
  /** Places by SM count and context length. */
  readonly places: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Over (log₂ SM count, log₂ context length): to base 2, where ties between powers of two are exact. */
  readonly tree: PointTree;
  /** For each place, the next longer context of the same SM count, where it has the same config but for the cap; or −1. */
  readonly longer: Int32Array;
  /** The same, next shorter. */
  readonly shorter: Int32Array;
  /** The next larger SM count that has the same context length, likewise. */
  readonly wider: Int32Array;
  /** The same, next smaller. */
  readonly narrower: Int32Array;
}

// By `configs`, so that a table that is put together anew for each lookup is not indexed anew.
const indexes = new WeakMap<BySize<Config>, SizesIndex<Config>>();

/** The index of a table; made at the first call. */
export function sizesIndex<C extends Config>(configs: BySize<C>): SizesIndex<C> {
  let index = indexes.get(configs) as SizesIndex<C> | undefined;
  if (index === undefined) {
    index = makeIndex(configs);
    indexes.set(configs, index);
  }
  return index;
}

function makeIndex<C extends Config>(configs: BySize<C>): SizesIndex<C> {
  const entries = sizeKeys(configs).flatMap((smCount) =>
    sizeKeys(configs[smCount]).map((contextLen) => ({
      size: { smCount, contextLen },
      config: configs[smCount][contextLen],
    }))
  );
  const points = new Float64Array(2 * entries.length);
  const places = new Map<number, Map<number, number>>();
  const [longer, shorter, wider, narrower] = Array.from({ length: 4 }, () => new Int32Array(entries.length).fill(-1));
  /** The last place of each context length so far. */
  const last = new Map<number, number>();
  for (const [place, { size: { smCount, contextLen }, config }] of entries.entries()) {
    points[2 * place] = Math.log2(smCount);
    points[2 * place + 1] = Math.log2(contextLen);
    if (!places.has(smCount)) places.set(smCount, new Map());
    places.get(smCount)!.set(contextLen, place);
    const before = entries[place - 1];
    if (before?.size.smCount === smCount && agree(before.config, config)) {
      longer[place - 1] = place;
      shorter[place] = place - 1;
    }
    const smaller = last.get(contextLen);
    if (smaller !== undefined && agree(entries[smaller].config, config)) {
      wider[smaller] = place;
      narrower[place] = smaller;
    }
    last.set(contextLen, place);
  }
  return { entries, places, tree: pointTree(points), longer, shorter, wider, narrower };
}

/** Whether both have a cap on splits, and are equal in everything else. */
function agree(a: Config, b: Config): boolean {
  const names = Object.keys(a);
  if (!isCap(a.max_kv_splits) || !isCap(b.max_kv_splits) || names.length !== Object.keys(b).length) return false;
  return names.every((name) => name === "max_kv_splits" || (Object.hasOwn(b, name) && a[name] === b[name]));
}

function isCap(value: unknown): boolean {
  return Number.isInteger(value) && value as number >= 1;
}

/** The keys that are sizes, ascending. A table that was not parsed may have others. */
function sizeKeys(object: Readonly<Record<string, unknown>>): number[] {
  return Object.keys(object).filter((key) => /^[1-9][0-9]*$/.test(key)).map(Number).sort((a, b) => a - b);
}
