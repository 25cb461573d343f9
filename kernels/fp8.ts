/**
 * FP8 E4M3 (the FN variant): 1 sign, 4 exponent (bias 7) and 3 mantissa bits; no infinity; NaN is 0x7f and 0xff.
 *
 * Finite codes span ±2⁻⁹ (the smallest subnormal) to ±448. The format is that of "FP8 Formats for Deep Learning"
 * (Micikevicius et al., 2022) and of the OCP 8-bit floating point specification 1.0.
 *
 * @module
 */

/** The largest finite E4M3 value. */
export const E4M3_MAX = 448;

const MAX_CODE = 0x7e;
// Adding 2^52 to a number in [0, 2^52) leaves no bits below 1, so the sum is rounded to an integer, ties to even.
const ROUND = 2 ** 52;

/** `DECODED[code]`: the value of each code, in f32. */
const DECODED: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  const sign = code & 0x80 ? -1 : 1;
  if ((code & 0x7f) === 0x7f) return NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10));
});

/** `SCALE[k]` brings [2^(k-6), 2^(k-5)) to [8, 16), where E4M3's spacing is 1. */
const SCALE: Float64Array = Float64Array.from({ length: 15 }, (_, k) => 2 ** (9 - k));

/**
 * Encodes a number as E4M3: to nearest, ties to even, in one rounding from float64.
 *
 * @example Ties go to even, and large values saturate
 * ```ts
 * import { encodeE4M3 } from "./fp8.ts";
 *
 * if (encodeE4M3(1) !== 0x38) throw new Error("1");
 * if (encodeE4M3(17) !== encodeE4M3(16)) throw new Error("17 lies between 16 (even) and 18");
 * if (encodeE4M3(-Infinity) !== 0xfe) throw new Error("-448");
 * ```
 *
 * @param x Any number but NaN. Magnitudes above 448, infinities included, become ±448. −0 keeps its sign.
 * @returns The code, 0 to 255.
 * @throws {RangeError} Where `x` is NaN: a NaN in a cache would decode as a number on devices that shift bits.
 */
export function encodeE4M3(x: number): number {
  const magnitude = Math.abs(x);
  const sign = x < 0 || (x === 0 && 1 / x < 0) ? 0x80 : 0;
  if (!(magnitude < E4M3_MAX)) {
    if (Number.isNaN(x)) throw new RangeError("Cannot encode NaN as E4M3: expected a number");
    return sign | MAX_CODE;
  }
  // The binade, counted from 2^-6; `| 1` puts the subnormals into binade 0, whose spacing they share.
  const k = 31 - Math.clz32((magnitude * 64) | 1);
  // A mantissa that rounds up to 16 carries into the exponent by itself.
  return sign | ((k << 3) + (magnitude * SCALE[k] + ROUND - ROUND));
}

/**
 * Encodes each element of `xs` as {@linkcode encodeE4M3} does.
 *
 * @param xs [n] numbers.
 * @param out [n] bytes at least; allocated where absent.
 * @returns `out`, whose first n bytes are the codes.
 * @throws {RangeError} Where an element is NaN (the message has its index) or `out` is shorter than `xs`.
 */
export function encodeE4M3Array(xs: ArrayLike<number>, out: Uint8Array = new Uint8Array(xs.length)): Uint8Array {
  requireRoom("encode", xs.length, out.length);
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i];
    if (Number.isNaN(x)) throw new RangeError(`Cannot encode NaN at index ${i} as E4M3: expected a number`);
    out[i] = encodeE4M3(x);
  }
  return out;
}

/**
 * Decodes an E4M3 code, exactly.
 *
 * @param code An integer from 0 to 255.
 * @returns The value; NaN for 0x7f and 0xff; −0 for 0x80.
 * @throws {RangeError} Where `code` is not an integer from 0 to 255.
 */
export function decodeE4M3(code: number): number {
  if (!Number.isInteger(code) || code < 0 || code > 255) {
    throw new RangeError(`Cannot decode ${code} as E4M3: expected an integer from 0 to 255`);
  }
  return DECODED[code];
}

/**
 * Decodes each code as {@linkcode decodeE4M3} does.
 *
 * @param codes [n] E4M3 codes.
 * @param out [n] floats at least; allocated where absent.
 * @returns `out`, whose first n elements are the values.
 * @throws {RangeError} Where `out` is shorter than `codes`.
 */
export function decodeE4M3Array<T extends Float32Array | Float64Array = Float32Array>(
  codes: Uint8Array,
  out: T = new Float32Array(codes.length) as T,
): T {
  requireRoom("decode", codes.length, out.length);
  for (let i = 0; i < codes.length; i++) out[i] = DECODED[codes[i]];
  return out;
}

function requireRoom(action: string, needed: number, given: number): void {
  if (given < needed) {
    throw new RangeError(`Cannot ${action} ${needed} elements into ${given}: expected an output at least as long`);
  }
}
