/**
 * Finds the config for a size in a results table, measured or not.
 *
 * Ahead of time only: no file, no network, no waiting. The first lookup in a table indexes its sizes; later ones take
 * well under a microsecond and make one small object. A table must not change after its first lookup.
 *
 * A table is of one kernel, backend, device and problem, so that nothing here crosses from one to another.
 *
 * @module
 */
import { kvSplitsCap, SERVED_BASE_CAP } from "../kernels/mla_decode/kv_splits.ts";
import { nearestPoint } from "./nearest.ts";
import { type SizesIndex, sizesIndex } from "./sizes_index.ts";
import type { BySize, Config, Size } from "./types.ts";

/** What lookup reads of a results file: parsed results, or the object that a JSON import gives. */
export interface ResultsTable<C extends Config = Config> {
  /** `mla_decode` where absent. */
  readonly kernel?: string;
  /** The SM count that a query without one means. */
  readonly device?: { readonly smCount?: number };
  /** By SM count and context length. */
  readonly configs: BySize<C>;
}

/** The size that a config is wanted for. */
export interface LookupQuery {
  /** Multiprocessors; where absent, those of the table's device. */
  readonly smCount?: number;
  /** Cached tokens of the longest request. */
  readonly contextLen: number;
}

/**
 * How far to trust a config: `high` where it was measured at this size, or lies between two measured sizes that agree on
 * all but the cap, the nearer one within an octave; `medium` where it was measured within an octave; otherwise `low`.
 */
export type Confidence = "high" | "medium" | "low";

/** A config that was measured, here or nearby. */
export interface MeasuredLookup<C extends Config = Config> {
  /** `exact`: measured at this size. `nearest`: measured at `from`. */
  readonly match: "exact" | "nearest";
  /**
   * One value for each parameter. It belongs to the table where nothing is `filled` and its cap is not interpolated: do
   * not change it.
   */
  readonly config: C;
  /** The size that was measured. */
  readonly from: Size;
  /** The measured sizes on both sides, where they agree on all but the cap, and the cap is interpolated between them. */
  readonly between?: readonly [Size, Size];
  /** Octaves from the size asked for to `from`: √(log₂²(SM ratio) + log₂²(length ratio)); 0 where exact. */
  readonly distance: number;
  /** How far to trust it. */
  readonly confidence: Confidence;
  /** Parameters that the table lacks, and that the formula gave. */
  readonly filled: readonly string[];
}

/** The served defaults, for a table that has no sizes. */
export interface FormulaLookup<C extends Config = Config> {
  /** Nothing was measured. */
  readonly match: "formula";
  /** The parameters that have a served default; none for a kernel that is served nowhere. */
  readonly config: Partial<C>;
  /** No size was measured. */
  readonly from?: undefined;
  /** No sizes were measured. */
  readonly between?: undefined;
  /** There is nothing to be far from. */
  readonly distance?: undefined;
  /** A formula knows nothing of the kernel that runs. */
  readonly confidence: "low";
  /** The names in `config`. */
  readonly filled: readonly string[];
}

/** A config, where it is from, and how far to trust it. */
export type Lookup<C extends Config = Config> = MeasuredLookup<C> | FormulaLookup<C>;

/**
 * Looks up the config for an SM count and a context length.
 *
 * An unseen size takes the nearest one that was measured: the least log₂²(SM ratio) + log₂²(length ratio), and of equals
 * the one with fewer SMs, then with the shorter length. Where the next measured size on the other side (in context length;
 * in SM count where the length is the same) differs in `max_kv_splits` alone, that cap is interpolated between the two,
 * geometrically. An empty table answers with the served defaults: BLOCK_N 32, num_stages 2, and the served cap on splits.
 * These exist for `mla_decode` only, so that an empty table of another kernel gives an empty config.
 *
 * @example
 * ```ts
 * import { lookup } from "./lookup.ts";
 *
 * const table = {
 *   configs: {
 *     "132": {
 *       "1024": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 33 },
 *       "4096": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 132 },
 *     },
 *   },
 * };
 * const { match, confidence, config } = lookup(table, { smCount: 132, contextLen: 2048 });
 * if (match !== "nearest" || confidence !== "high") throw new Error(match);
 * if (config.BLOCK_N !== 64 || config.max_kv_splits !== 66) throw new Error(String(config.max_kv_splits));
 * ```
 *
 * @throws {RangeError} Where `smCount` is no integer from 1 up or `contextLen` none from 0 up. Never for an unseen size.
 */
export function lookup<C extends Config = Config>(table: ResultsTable<C>, query: LookupQuery): Lookup<C> {
  const { contextLen } = query;
  const smCount = query.smCount ?? table.device?.smCount;
  if (smCount !== undefined) requireSize("smCount", smCount, 1);
  requireSize("contextLen", contextLen, 0);
  const index = sizesIndex(table.configs);
  const exact = smCount === undefined ? undefined : index.places.get(smCount)?.get(contextLen);
  if (exact !== undefined) {
    const { config, size } = index.entries[exact];
    const filled = missingParams(table, config);
    const complete = fill(config, filled, smCount, contextLen);
    return { match: "exact", config: complete, from: size, distance: 0, confidence: "high", filled };
  }
  const y = Math.log2(Math.max(contextLen, 1));
  const x = smCount === undefined ? undefined : Math.log2(smCount);
  const place = nearestPoint(index.tree, x ?? 0, y, x === undefined ? 0 : 1);
  if (place < 0) {
    const filled = missingParams(table, NO_CONFIG);
    const config = servedConfig(filled, smCount, contextLen) as Partial<C>;
    return { match: "formula", config, confidence: "low", filled };
  }
  return nearby(table, index, place, x, y, smCount, contextLen);
}

/** The answer at `place`, the nearest to (x, y): the logarithms of the size that was asked for. */
function nearby<C extends Config>(
  table: ResultsTable<C>,
  index: SizesIndex<C>,
  place: number,
  x: number | undefined,
  y: number,
  smCount: number | undefined,
  contextLen: number,
): MeasuredLookup<C> {
  const { points } = index.tree;
  const { config, size } = index.entries[place];
  const dx = x === undefined ? 0 : x - points[2 * place];
  const dy = y - points[2 * place + 1];
  const distance = Math.sqrt(dx * dx + dy * dy); // Math.hypot guards against overflow and takes ten times as long
  const filled = missingParams(table, config);
  const complete = fill(config, filled, smCount, contextLen);
  const other = dy > 0
    ? index.longer[place]
    : dy < 0
    ? index.shorter[place]
    : dx > 0
    ? index.wider[place]
    : dx < 0
    ? index.narrower[place]
    : -1;
  if (other < 0) {
    const confidence = distance <= 1 ? "medium" : "low";
    return { match: "nearest", config: complete, from: size, distance, confidence, filled };
  }
  const neighbour = index.entries[other];
  // The share of the way to the neighbour, along the axis that tells the two apart.
  const share = dy !== 0
    ? dy / (points[2 * other + 1] - points[2 * place + 1])
    : dx / (points[2 * other] - points[2 * place]);
  const cap = between(config.max_kv_splits as number, neighbour.config.max_kv_splits as number, share);
  return {
    match: "nearest",
    config: cap === config.max_kv_splits ? complete : { ...complete, max_kv_splits: cap },
    from: size,
    between: other < place ? [neighbour.size, size] : [size, neighbour.size],
    distance,
    confidence: distance <= 1 ? "high" : "low",
    filled,
  };
}

/** Linear in the logarithms: caps double where sizes double. */
function between(a: number, b: number, share: number): number {
  return a === b ? a : Math.round(a * (b / a) ** share);
}

function fill<C extends Config>(config: C, missing: typeof NONE, smCount: number | undefined, contextLen: number): C {
  return missing.length === 0 ? config : { ...servedConfig(missing, smCount, contextLen), ...config };
}

const SERVED_PARAMS = ["BLOCK_N", "num_stages", "max_kv_splits"] as const;
const NO_CONFIG: Config = {};
const NONE: readonly (typeof SERVED_PARAMS[number])[] = [];

function missingParams({ kernel }: ResultsTable, config: Config): typeof NONE {
  if (kernel !== undefined && kernel !== "mla_decode") return NONE;
  const { BLOCK_N, num_stages, max_kv_splits } = config;
  if (BLOCK_N !== undefined && num_stages !== undefined && max_kv_splits !== undefined) return NONE;
  return SERVED_PARAMS.filter((name) => config[name] === undefined);
}

/** The formula takes 31-bit sizes; it gives the same for all that are larger. */
const LARGEST = 2 ** 31 - 1;

function servedConfig(names: typeof NONE, smCount: number | undefined, contextLen: number): Config {
  const values = {
    BLOCK_N: () => 32,
    num_stages: () => 2,
    max_kv_splits: () =>
      kvSplitsCap(SERVED_BASE_CAP, smCount && Math.min(smCount, LARGEST), Math.min(contextLen, LARGEST)),
  };
  return Object.fromEntries(names.map((name) => [name, values[name]()]));
}

function requireSize(name: string, value: number, min: number): void {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`Cannot look up ${name} ${value}: expected an integer from ${min} up`);
  }
}
