/**
 * Finds the config for a size in a results table, measured or not.
 *
 * Ahead of time only: no file, no network, no waiting. The first lookup in a table sorts its sizes; later ones take
 * well under a microsecond. A table must not change after its first lookup.
 *
 * @module
 */
import { kvSplitsCap, SERVED_BASE_CAP } from "../kernels/mla_decode/kv_splits.ts";
import type { BySize, Config, Size } from "./types.ts";

/** What lookup reads of a results file: parsed results, or the object that a JSON import gives. */
export interface ResultsTable {
  /** `mla_decode` where absent. */
  readonly kernel?: string;
  /** The SM count that a query without one means. */
  readonly device?: { readonly smCount?: number };
  /** By SM count and context length. */
  readonly configs: BySize<Config>;
}

/** The size that a config is wanted for. */
export interface LookupQuery {
  /** Multiprocessors; where absent, those of the table's device. */
  readonly smCount?: number;
  /** Cached tokens of the longest request. */
  readonly contextLen: number;
}

/** A config, and where it is from. */
export interface Lookup {
  /** `exact`: measured at this size. `nearest`: measured at `from`. `formula`: the served defaults, not measured. */
  readonly match: "exact" | "nearest" | "formula";
  /** One value for each parameter. It belongs to the table where nothing is `filled`: do not change it. */
  readonly config: Config;
  /** The size that was measured; absent for `formula`. */
  readonly from?: Size;
  /** Parameters that the table lacks, and that the formula gave. */
  readonly filled: readonly string[];
}

/**
 * Looks up the config for an SM count and a context length.
 *
 * An unseen size takes the nearest one that was measured: the least log₂²(SM ratio) + log₂²(length ratio), and of equals
 * the one with fewer SMs, then with the shorter length. An empty table answers with the served defaults: BLOCK_N 32,
 * num_stages 2, and the served cap on splits. These exist for `mla_decode` only, so that an empty table of another
 * kernel gives an empty config.
 *
 * @example
 * ```ts
 * import { lookup } from "./lookup.ts";
 *
 * const table = { configs: { "132": { "1024": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 33 } } } };
 * const { match, config } = lookup(table, { smCount: 132, contextLen: 1500 });
 * if (match !== "nearest" || config.max_kv_splits !== 33) throw new Error(match);
 * ```
 *
 * @throws {RangeError} Where `smCount` is no integer from 1 up or `contextLen` none from 0 up. Never for an unseen size.
 */
export function lookup(table: ResultsTable, query: LookupQuery): Lookup {
  const { contextLen } = query;
  const smCount = query.smCount ?? table.device?.smCount;
  if (smCount !== undefined) requireSize("smCount", smCount, 1);
  requireSize("contextLen", contextLen, 0);
  const { configs } = table;
  if (smCount !== undefined && Object.hasOwn(configs, smCount) && Object.hasOwn(configs[smCount], contextLen)) {
    return answer(table, "exact", configs[smCount][contextLen], { smCount, contextLen }, smCount, contextLen);
  }
  const from = nearest(sizesIndex(configs), smCount, contextLen);
  if (from === undefined) return answer(table, "formula", {}, undefined, smCount, contextLen);
  return answer(table, "nearest", configs[from.smCount][from.contextLen], from, smCount, contextLen);
}

function answer(
  table: ResultsTable,
  match: Lookup["match"],
  config: Config,
  from: Size | undefined,
  smCount: number | undefined,
  contextLen: number,
): Lookup {
  const missing = (table.kernel ?? "mla_decode") === "mla_decode"
    ? SERVED_PARAMS.filter((name) => !Object.hasOwn(config, name))
    : [];
  const filled = missing.length === 0 ? config : { ...servedConfig(missing, smCount, contextLen), ...config };
  return from === undefined
    ? { match, config: filled, filled: missing }
    : { match, config: filled, from, filled: missing };
}

const SERVED_PARAMS = ["BLOCK_N", "num_stages", "max_kv_splits"] as const;

/** The formula takes 31-bit sizes; it gives the same for all that are larger. */
const LARGEST = 2 ** 31 - 1;

function servedConfig(
  names: readonly (typeof SERVED_PARAMS[number])[],
  smCount: number | undefined,
  contextLen: number,
): Config {
  const values = {
    BLOCK_N: () => 32,
    num_stages: () => 2,
    max_kv_splits: () =>
      kvSplitsCap(SERVED_BASE_CAP, smCount && Math.min(smCount, LARGEST), Math.min(contextLen, LARGEST)),
  };
  return Object.fromEntries(names.map((name) => [name, values[name]()]));
}

/** The sizes of a table, sorted, with their logarithms: to base 2, where ties between powers of two are exact. */
interface SizesIndex {
  readonly smCounts: readonly number[];
  readonly logSmCounts: Float64Array;
  /** For each SM count. */
  readonly contextLens: readonly (readonly number[])[];
  readonly logContextLens: readonly Float64Array[];
}

const indexes = new WeakMap<BySize<Config>, SizesIndex>();

function sizesIndex(configs: BySize<Config>): SizesIndex {
  let index = indexes.get(configs);
  if (index === undefined) {
    const smCounts = sizeKeys(configs).filter((smCount) => sizeKeys(configs[smCount]).length > 0);
    const contextLens = smCounts.map((smCount) => sizeKeys(configs[smCount]));
    index = {
      smCounts,
      logSmCounts: Float64Array.from(smCounts, Math.log2),
      contextLens,
      logContextLens: contextLens.map((lens) => Float64Array.from(lens, Math.log2)),
    };
    indexes.set(configs, index);
  }
  return index;
}

/** The keys that are sizes, ascending. A table that was not parsed may have others. */
function sizeKeys(object: Readonly<Record<string, unknown>>): number[] {
  return Object.keys(object).filter((key) => /^[1-9][0-9]*$/.test(key)).map(Number).sort((a, b) => a - b);
}

function nearest(index: SizesIndex, smCount: number | undefined, contextLen: number): Size | undefined {
  const { smCounts, logSmCounts, contextLens, logContextLens } = index;
  const logContext = Math.log2(Math.max(contextLen, 1));
  const logSm = smCount === undefined ? undefined : Math.log2(smCount);
  let best = Infinity;
  let size: Size | undefined;
  for (let i = 0; i < smCounts.length; i++) {
    const smDistance = logSm === undefined ? 0 : (logSmCounts[i] - logSm) ** 2;
    if (smDistance >= best) break; // they first fall, then rise: all further ones are further away
    const j = nearestIndex(logContextLens[i], logContext);
    const distance = smDistance + (logContextLens[i][j] - logContext) ** 2;
    if (distance < best) {
      best = distance;
      size = { smCount: smCounts[i], contextLen: contextLens[i][j] };
    }
  }
  return size;
}

/** The index of the element of `sorted` that is nearest to `x`; of two as near, the lower one. */
function nearestIndex(sorted: Float64Array, x: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - sorted[low - 1] <= sorted[low] - x ? low - 1 : low;
}

function requireSize(name: string, value: number, min: number): void {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`Cannot look up ${name} ${value}: expected an integer from ${min} up`);
  }
}
