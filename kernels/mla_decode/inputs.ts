/**
 * Inputs of MLA decode that look like real ones, the same for the same seed on every machine.
 *
 * - **Latents** have a magnitude of their own for each channel (2⁻³ to 1) and each token (2⁻² to 2), as trained models
 *   have; within that they are normal. The rope part is of magnitude 1.
 * - **Heads** go from flat attention (query magnitude ¼) to peaked (4) in turn.
 * - **Pages** are shuffled over a cache that has spare pages.
 * - **Unused slots** hold NaN codes: a kernel that reads one and lets it weigh in gives NaN, or a value that is far off.
 * - **Large caches** repeat their first 65,521 slots: a prime, so that an offset that wraps at a power of two lands on
 *   another row. Their unused slots are ordinary ones.
 *
 * @module
 */
import type { HostTensor } from "../devices/device.ts";
import { encodeE4M3 } from "../fp8.ts";
import { encodeBf16, encodeF16 } from "../half.ts";
import { ELEMENT_BYTES, type MlaDecodeProblem } from "./problem.ts";

/** Equally likely values of a normal distribution that an element is drawn from. */
const LEVELS = 256;
/** Exponents of channel and token magnitudes: the sum of both picks a table of codes. */
const CHANNEL_EXPONENTS = [-3, -2, -2, -1, -1, 0, 0, 0];
const TOKEN_EXPONENTS = [-2, -1, -1, 0, 0, 0, 0, 1];
const MIN_EXPONENT = -5;
const MAX_EXPONENT = 1;
const HEAD_GAINS = [0.25, 1, 2, 4];
const SPARE_PAGES = 3;
/** Slots that differ: the largest prime below 2¹⁶. */
const PERIOD = 65_521;

/**
 * q `[batch, heads, latent + rope]`, cache `[slots, latent + rope]`, kv_indptr `[batch + 1]` i32, kv_indices `[tokens]`
 * i32 (the slot of each token, request after request), and sinks `[heads]` f32 where the problem has them.
 */
export function inputs(problem: MlaDecodeProblem, seed: number): HostTensor[] {
  const { heads, latent, rope, batch, kvType } = problem;
  const random = new XorShift32(seed);
  const { indptr, indices, slots } = pages(problem, random);
  const q = queries(problem, random);
  return [
    q,
    {
      name: "cache",
      type: kvType === "fp8_e4m3" ? "e4m3" : kvType,
      shape: [slots, latent + rope],
      data: cache(problem, slots, indices, random),
      rotates: true,
    },
    { name: "kv_indptr", type: "i32", shape: [batch + 1], data: indptr },
    { name: "kv_indices", type: "i32", shape: [indices.length], data: indices, rotates: true },
    ...(problem.sinks ? [sinks(heads, random)] : []),
  ];
}

/** The numbers of {@linkcode XorShift32}, one by one. */
export function generator(seed: number): () => number {
  const random = new XorShift32(seed);
  return () => random.next();
}

/** xorshift32 (Marsaglia, 2003). */
class XorShift32 {
  /** An array element: 32 bits without a heap number. */
  readonly #state = new Int32Array(1);
  readonly #one = new Int32Array(1);

  constructor(seed: number) {
    // Mixing keeps neighbouring seeds apart; the state must not be 0.
    this.#state[0] = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) || 1;
    this.fill(new Int32Array(8));
  }

  /** The next u32. */
  next(): number {
    this.fill(this.#one);
    return this.#one[0] >>> 0;
  }

  /** As many {@linkcode next} as there is room for, as i32: a cache takes ten million. */
  fill(words: Int32Array): void {
    let x = this.#state[0];
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[i] = x;
    }
    this.#state[0] = x;
  }
}

/** A head's elements are its gain times normal values: so many codes for each gain, to be drawn from. */
function queries({ batch, heads, latent, rope, ioType }: MlaDecodeProblem, random: XorShift32): HostTensor {
  const width = latent + rope;
  const encode = ioType === "f16" ? encodeF16 : encodeBf16;
  const arrayOf = (length: number) => ioType === "f32" ? new Float32Array(length) : new Uint16Array(length);
  const normals = normalLevels();
  const codes = arrayOf(HEAD_GAINS.length * LEVELS);
  HEAD_GAINS.forEach((gain, g) => {
    for (let i = 0; i < LEVELS; i++) {
      const value = Math.fround(gain * normals[i]);
      codes[g * LEVELS + i] = ioType === "f32" ? value : encode(value);
    }
  });
  const data = arrayOf(batch * heads * width);
  const words = new Int32Array(width);
  for (let row = 0; row < batch * heads; row++) {
    random.fill(words);
    const gain = (row % HEAD_GAINS.length) * LEVELS;
    for (let c = 0; c < width; c++) data[row * width + c] = codes[gain + (words[c] & (LEVELS - 1))];
  }
  return { name: "q", type: ioType, shape: [batch, heads, width], data };
}

function sinks(heads: number, random: XorShift32): HostTensor {
  const data = Float32Array.from({ length: heads }, () => (random.next() / 2 ** 32) * 6 - 2);
  return { name: "sinks", type: "f32", shape: [heads], data };
}

/** Each request takes whole pages, in a shuffled order, out of a cache with a few pages to spare. */
function pages({ contextLens, batch, pageSize }: MlaDecodeProblem, random: XorShift32) {
  const indptr = new Int32Array(batch + 1);
  let pageCount = SPARE_PAGES;
  for (let b = 0; b < batch; b++) {
    indptr[b + 1] = indptr[b] + contextLens[b];
    pageCount += Math.ceil(contextLens[b] / pageSize);
  }
  const order = new Int32Array(pageCount);
  for (let page = 0; page < pageCount; page++) order[page] = page;
  for (let i = pageCount - 1; i > 0; i--) {
    const j = random.next() % (i + 1);
    const page = order[i];
    order[i] = order[j];
    order[j] = page;
  }
  const indices = new Int32Array(indptr[batch]);
  let page = 0;
  for (let b = 0; b < batch; b++) {
    for (let t = indptr[b]; t < indptr[b + 1];) {
      const slot = order[page++] * pageSize - t;
      const end = Math.min(t + pageSize, indptr[b + 1]);
      for (; t < end; t++) indices[t] = slot + t;
    }
  }
  return { indptr, indices, slots: pageCount * pageSize };
}

/** The rows of a cache: at most `PERIOD` of them, which a larger cache repeats. */
function cache(
  { latent, rope, kvType, kvScale }: MlaDecodeProblem,
  slots: number,
  indices: Int32Array,
  random: XorShift32,
): Uint8Array | Uint16Array {
  const repeats = slots > PERIOD;
  const rows = repeats ? PERIOD : slots;
  const used = repeats ? rows : indices.length;
  const encode = kvType === "fp8_e4m3" ? encodeE4M3 : kvType === "f16" ? encodeF16 : encodeBf16;
  const width = latent + rope;
  const normals = normalLevels();
  const tables = new Uint16Array((MAX_EXPONENT - MIN_EXPONENT + 1) * LEVELS);
  for (let e = MIN_EXPONENT; e <= MAX_EXPONENT; e++) {
    for (let i = 0; i < LEVELS; i++) {
      tables[(e - MIN_EXPONENT) * LEVELS + i] = encode((normals[i] * 2 ** e) / kvScale);
    }
  }
  // Poison: NaN in each of the types (E4M3's decodes as ±480 where a device shifts bits).
  const data = kvType === "fp8_e4m3"
    ? new Uint8Array(rows * width).fill(0x7f)
    : new Uint16Array(rows * width).fill(0x7fff);
  const channelTable = Int32Array.from({ length: width }, (_, c) => {
    const exponent = c < latent ? CHANNEL_EXPONENTS[random.next() & 7] : 0;
    return (exponent - MIN_EXPONENT) * LEVELS;
  });
  // Codes are drawn from tables, one for each magnitude: four for each random word.
  const words = new Int32Array(1 + latent / 4 + rope);
  for (let t = 0; t < used; t++) {
    random.fill(words);
    const row = (repeats ? t : indices[t]) * width;
    const shift = TOKEN_EXPONENTS[words[0] & 7] * LEVELS;
    for (let c = 0; c < latent; c += 4) {
      const word = words[1 + c / 4];
      data[row + c] = tables[channelTable[c] + shift + (word & 255)];
      data[row + c + 1] = tables[channelTable[c + 1] + shift + ((word >>> 8) & 255)];
      data[row + c + 2] = tables[channelTable[c + 2] + shift + ((word >>> 16) & 255)];
      data[row + c + 3] = tables[channelTable[c + 3] + shift + (word >>> 24)];
    }
    for (let c = 0; c < rope; c++) {
      data[row + latent + c] = tables[channelTable[latent + c] + (words[1 + latent / 4 + c] >>> 24)];
    }
  }
  return data;
}

/**
 * The middles of `LEVELS` equally likely intervals of the standard normal distribution, in no particular order of sign.
 *
 * The inverse error function is Winitzki's approximation (2008), good to 2e-3: ample for test data, and it needs only
 * log and sqrt. Rounding to multiples of 2⁻¹⁰ keeps values equal where two machines' logarithms differ in the last bit.
 */
function normalLevels(): Float64Array {
  const a = 0.147;
  return Float64Array.from({ length: LEVELS }, (_, i) => {
    const x = (2 * i + 1) / LEVELS - 1;
    const log = Math.log(1 - x * x);
    const term = 2 / (Math.PI * a) + log / 2;
    const value = Math.sign(x) * Math.SQRT2 * Math.sqrt(Math.sqrt(term * term - log / a) - term);
    return Math.round(value * 1024) / 1024;
  });
}

/** Bytes that the cache takes, spare pages included. */
export function cacheBytes(problem: MlaDecodeProblem): number {
  const { contextLens, pageSize, latent, rope, kvType } = problem;
  const pageCount = contextLens.reduce((sum, length) => sum + Math.ceil(length / pageSize), SPARE_PAGES);
  return pageCount * pageSize * (latent + rope) * ELEMENT_BYTES[kvType];
}
