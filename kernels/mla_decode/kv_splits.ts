/**
 * How many splits each request's cache is cut into, so that a small batch still fills the device.
 *
 * - **split**: a run of a request's tokens that one stage-1 work item streams; stage 2 merges a request's splits.
 * - **cap**: the most splits a request may have. It sizes the workspace of partial outputs.
 * - **chunk**: tokens a split, at most.
 * - **granule**: chunks are multiples of it, so that tiles stay aligned.
 * - **slots**: work items that the device runs at once (SM count × resident blocks an SM); a **wave** is one such set.
 *
 * {@linkcode servedKvSplits} and {@linkcode kvSplitsCap} follow what SGLang's Triton decode backend does, and are the
 * baseline. {@linkcode waveKvSplits} is this project's own schedule. All of them are deterministic, and use integers
 * below 2³² only, so that a device can compute the same splits from the same lengths.
 *
 * A request of length 0 has 0 splits: it has no work item, and stage 2 writes zeros and a log-sum-exp of −∞ for it.
 *
 * @module
 */

/** The cap that serving systems start from, and keep where the SM count is unknown. */
export const SERVED_BASE_CAP = 8;

/** Serving systems round a split's tokens up to a multiple of this. */
export const SERVED_GRANULE = 32;

/** Heads that a served work item shares one tile between. */
const SERVED_BLOCK_HEADS = 16;

/** What the served heuristic decides from. */
export interface ServedSchedule {
  /** Cached tokens of each request, integers from 0 up. */
  readonly contextLens: readonly number[];
  /** Query heads that share the latent row. */
  readonly heads: number;
  /** Multiprocessors of the device, or of the partition that the kernel runs on. */
  readonly smCount: number;
  /** Splits a request at most. */
  readonly cap: number;
}

/** What the wave-aware schedule decides from. */
export interface WaveSchedule {
  /** Cached tokens of each request, integers from 0 up. */
  readonly contextLens: readonly number[];
  /** Work items that one split of one request costs: ceil(heads / heads a block). */
  readonly headBlocks: number;
  /** Work items that run at once on the whole device. */
  readonly slots: number;
  /** Splits a request at most. */
  readonly cap: number;
  /** Chunks are a multiple of it. */
  readonly granule: number;
}

/** The arguments of {@linkcode numKvSplits}: one length for the whole batch, or a length for each request. */
export type KvSplitsQuery =
  & {
    /** Query heads that share the latent row. */
    readonly heads: number;
    /** Multiprocessors of the device, or of the partition that the kernel runs on. */
    readonly smCount: number;
    /** Splits a request at most; {@linkcode kvSplitsCap} of the longest request where absent. */
    readonly cap?: number;
  }
  & ({
    /** Cached tokens of each request, integers from 0 up. */
    readonly contextLens: readonly number[];
    readonly contextLen?: undefined;
    readonly batch?: undefined;
  } | {
    /** Cached tokens of every request. */
    readonly contextLen: number;
    /** Requests; 1 where absent. */
    readonly batch?: number;
    readonly contextLens?: undefined;
  });

/**
 * The served cap on splits: `max(base, min(pow2ceil(smCount), pow2ceil(ceil(maxContextLen / 32))))`.
 *
 * @example
 * ```ts
 * import { kvSplitsCap } from "./kv_splits.ts";
 *
 * if (kvSplitsCap(8, 132, 32768) !== 256) throw new Error("132 SMs round up to 256");
 * if (kvSplitsCap(8, 132, 1024) !== 32) throw new Error("1024 tokens are 32 tiles of 32");
 * if (kvSplitsCap(8, undefined, 32768) !== 8) throw new Error("no SM count: the base");
 * ```
 *
 * @param base The least cap; serving systems use 8.
 * @param smCount Multiprocessors, or undefined where unknown: then the cap is `base`.
 * @param maxContextLen Tokens of the longest request.
 * @throws {RangeError} Where an argument is no integer in its range.
 */
export function kvSplitsCap(base: number, smCount: number | undefined, maxContextLen: number): number {
  requireInteger("base", base, 1);
  requireInteger("maxContextLen", maxContextLen, 0);
  if (smCount === undefined) return base;
  requireInteger("smCount", smCount, 1);
  return Math.max(base, Math.min(pow2ceil(smCount), pow2ceil(Math.ceil(maxContextLen / SERVED_GRANULE))));
}

/**
 * Splits for each request, by the heuristic that serving systems use.
 *
 * @example
 * ```ts
 * import { numKvSplits } from "./kv_splits.ts";
 *
 * const [splits] = numKvSplits({ contextLen: 32768, heads: 16, smCount: 132 });
 * if (splits !== 256) throw new Error(`${splits}`);
 * ```
 *
 * @returns [batch] splits; 0 for an empty request.
 * @throws {RangeError} Where a field is no integer in its range.
 */
export function numKvSplits(query: KvSplitsQuery): number[] {
  const { heads, smCount } = query;
  const contextLens = query.contextLens ?? equalLens(query.contextLen, query.batch);
  const cap = query.cap ?? kvSplitsCap(SERVED_BASE_CAP, smCount, longest(contextLens));
  return servedKvSplits({ contextLens, heads, smCount, cap });
}

/**
 * Splits for each request, by the served heuristic with an explicit cap.
 *
 * It takes the finer of two chunks: one that evens out unequal lengths, and one that fills the SMs, whose count it
 * stretches by log₂(maxLen / 64) ({@linkcode servedExtent}). Where SGLang divides by a shortest length of 0, this takes
 * the shortest length that is not 0.
 *
 * @returns [batch] splits; 0 for an empty request.
 * @throws {RangeError} Where a field is no integer in its range.
 */
export function servedKvSplits({ contextLens, heads, smCount, cap }: ServedSchedule): number[] {
  requireInteger("heads", heads, 1);
  requireInteger("cap", cap, 1);
  const max = longest(contextLens);
  if (max === 0) return contextLens.map(() => 0);
  let min = max;
  for (const length of contextLens) if (length > 0 && length < min) min = length;
  if (min * 10 >= max * 8) min = max; // within 25 %: one length, as far as splitting goes
  const evenChunk = ceilDiv(max, Math.min(ceilDiv(max, min), cap));
  const grid = contextLens.length * ceilDiv(heads, SERVED_BLOCK_HEADS);
  const fillChunk = ceilDiv(max, Math.min(ceilDiv(servedExtentFixed(smCount, max), grid), cap));
  const chunk = Math.min(evenChunk, fillChunk);
  return contextLens.map((length) => ceilDiv(length, chunk));
}

/**
 * Tokens a split of the served kernels: `ceil(ceil(length / splits) / granule) · granule`. The last splits of a request
 * can be shorter or empty.
 *
 * @returns Tokens; 0 for 0 splits.
 * @throws {RangeError} Where an argument is no integer in its range, or `splits` is 0 and `length` is not.
 */
export function splitLength(length: number, splits: number, granule: number = SERVED_GRANULE): number {
  requireInteger("length", length, 0);
  requireInteger("splits", splits, length > 0 ? 1 : 0);
  requireInteger("granule", granule, 1);
  return splits === 0 ? 0 : ceilDiv(ceilDiv(length, splits), granule) * granule;
}

/**
 * The SM count, stretched so that splits grow with the length: `int(smCount · max(log₂(maxLen / 64), 1))`, in float64.
 *
 * This is the definition. {@linkcode servedExtentFixed} is what the schedule uses, and what a device mirrors.
 */
export function servedExtent(smCount: number, maxLen: number): number {
  return Math.trunc(smCount * Math.max(Math.log2(maxLen / 64), 1));
}

/**
 * {@linkcode servedExtent} in 32-bit unsigned integers, so that a device gives the same number whatever its log₂ does.
 *
 * A device repeats these steps; every value is a u32 and every product is a 64-bit one, of which `hi` and `lo` are the
 * words ({@linkcode mulWide} makes them from 16-bit halves, for languages without 64-bit integers):
 *
 * 1. If maxLen < 128, the answer is smCount. Otherwise e = 31 − countLeadingZeros(maxLen).
 * 2. m = maxLen << (31 − e): the mantissa in [1, 2) with 31 bits after the point. f = 0.
 * 3. 32 times: (hi, lo) = m · m. If hi's top bit is set, m = hi and f = f << 1 | 1; otherwise
 *    m = hi << 1 | lo >> 31 and f = f << 1. Then f holds the first 32 bits of log₂ m after the point.
 * 4. The answer is smCount · (e − 6) + hi(smCount · f).
 *
 * Truncation errs by less than 2⁻²⁹ in the logarithm. For the SM counts and lengths that the test goes through (2 to 188
 * SMs, all lengths to 262144) it never changes the answer.
 *
 * @throws {RangeError} Where `smCount` is not in 1 to 65535 or `maxLen` not in 0 to 2³² − 1.
 */
export function servedExtentFixed(smCount: number, maxLen: number): number {
  requireInteger("smCount", smCount, 1, 0xffff);
  requireInteger("maxLen", maxLen, 0, 0xffffffff);
  if (maxLen < 128) return smCount;
  const e = 31 - Math.clz32(maxLen);
  let m = (maxLen << (31 - e)) >>> 0;
  let f = 0;
  for (let bit = 0; bit < 32; bit++) {
    const [hi, lo] = mulWide(m, m);
    const top = hi >>> 31;
    m = (top ? hi : (hi << 1) | (lo >>> 31)) >>> 0;
    f = ((f << 1) | top) >>> 0;
  }
  return smCount * (e - 6) + mulWide(smCount, f)[0];
}

/** [hi, lo]: the two 32-bit words of a · b, from products of 16-bit halves that each fit a u32. */
export function mulWide(a: number, b: number): [number, number] {
  const [aHi, aLo, bHi, bLo] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const low = aLo * bLo;
  const middle = aLo * bHi + (low >>> 16);
  const middle2 = aHi * bLo + (middle & 0xffff);
  const hi = aHi * bHi + (middle >>> 16) + (middle2 >>> 16);
  return [hi >>> 0, ((middle2 << 16) | (low & 0xffff)) >>> 0];
}

/**
 * Splits for each request so that stage 1 runs in whole waves.
 *
 * All requests share one chunk, so that every work item but the last of each request costs the same. The smallest chunk
 * that the cap admits sets the number of waves, rounded down; then the chunk grows just as far as its work items fit
 * those waves, so that no wave runs part-filled for a remainder. Integers only, and one binary search:
 *
 * 1. items(chunk) = headBlocks · Σ ceil(length / chunk); lowest = ceil(maxLen / cap), rounded up to the granule.
 * 2. waves = max(floor(items(lowest) / slots), ceil(items(maxLen) / slots)).
 * 3. chunk = the smallest multiple of the granule, from `lowest` up, with items(chunk) ≤ waves · slots.
 * 4. splits = ceil(length / chunk).
 *
 * The schedule takes as many waves as the cap lets it, so the cap decides between long and many splits for big batches.
 *
 * @returns [batch] splits, each at most the cap; 0 for an empty request.
 * @throws {RangeError} Where a field is no integer in its range.
 */
export function waveKvSplits(schedule: WaveSchedule): number[] {
  const { contextLens } = schedule;
  const chunk = waveChunk(schedule);
  return contextLens.map((length) => chunk === 0 ? 0 : ceilDiv(length, chunk));
}

/** The chunk of {@linkcode waveKvSplits}, in tokens; 0 where every request is empty. */
export function waveChunk({ contextLens, headBlocks, slots, cap, granule }: WaveSchedule): number {
  requireInteger("headBlocks", headBlocks, 1);
  requireInteger("slots", slots, 1);
  requireInteger("cap", cap, 1);
  requireInteger("granule", granule, 1);
  const max = longest(contextLens);
  if (max === 0) return 0;
  const items = (granules: number) => {
    let sum = 0;
    for (const length of contextLens) sum += ceilDiv(length, granules * granule);
    return sum * headBlocks;
  };
  let low = ceilDiv(ceilDiv(max, cap), granule);
  let high = Math.max(low, ceilDiv(max, granule)); // one split a request
  const room = Math.max(Math.floor(items(low) / slots), ceilDiv(items(high), slots)) * slots;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (items(middle) <= room) high = middle;
    else low = middle + 1;
  }
  return low * granule;
}

function equalLens(contextLen: number, batch = 1): number[] {
  requireInteger("batch", batch, 0);
  requireInteger("contextLen", contextLen, 0);
  return new Array<number>(batch).fill(contextLen);
}

function longest(contextLens: readonly number[]): number {
  let max = 0;
  for (let i = 0; i < contextLens.length; i++) {
    requireInteger(`contextLens[${i}]`, contextLens[i], 0);
    if (contextLens[i] > max) max = contextLens[i];
  }
  return max;
}

/** The least power of two that is not below `x`; 1 for 0. */
function pow2ceil(x: number): number {
  return x <= 1 ? 1 : 2 ** (32 - Math.clz32(x - 1));
}

function ceilDiv(a: number, b: number): number {
  return Math.ceil(a / b);
}

function requireInteger(name: string, value: number, min: number, max = 0x7fffffff): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot compute KV splits: ${name} is ${value}, expected an integer from ${min} to ${max}`);
  }
}

/** Shares of the SM count whose splits fill it evenly: a last wave is whole, or half, or there is none. */
const SM_MULTIPLES = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4];

/**
 * Counts of splits that are worth sweeping, ascending: 1, powers of two, fractions and multiples of the SM count over
 * each of `items` (the work items that one split a request makes), and `more`.
 *
 * @param options.most No count is larger.
 * @param options.largestPower The largest power of two.
 */
export function splitCandidates({ smCount, items, most, largestPower, more = [] }: {
  smCount: number;
  items: readonly number[];
  most: number;
  largestPower: number;
  more?: readonly number[];
}): number[] {
  const counts = new Set([1, ...more]);
  for (let power = 2; power <= largestPower; power *= 2) counts.add(power);
  for (const count of items) {
    for (const multiple of SM_MULTIPLES) counts.add(Math.max(1, Math.floor(smCount * multiple / count)));
  }
  return [...counts].filter((count) => count <= most).sort((a, b) => a - b);
}
