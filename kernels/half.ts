/**
 * The 16-bit floats, f16 (IEEE binary16) and bf16 (the upper half of binary32), as bit patterns.
 *
 * @module
 */

const f32 = new Float32Array(1);
const bits = new Uint32Array(f32.buffer);
const f16 = new Float16Array(1);
const f16Bits = new Uint16Array(f16.buffer);

/** The nearest f16's bits, ties to even; infinity past 65504. */
export function encodeF16(x: number): number {
  f16[0] = x;
  return f16Bits[0];
}

/** The value of an f16 bit pattern. */
export function decodeF16(code: number): number {
  f16Bits[0] = code;
  return f16[0];
}

/** The nearest bf16's bits, ties to even. `x` is rounded to f32 first. */
export function encodeBf16(x: number): number {
  f32[0] = x;
  if (Number.isNaN(x)) return 0x7fc0;
  return ((bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of a bf16 bit pattern. */
export function decodeBf16(code: number): number {
  bits[0] = code << 16;
  return f32[0];
}

/** Decodes each code as {@linkcode decodeF16} does. `out` has as many elements. */
export function decodeF16Array(codes: Uint16Array, out: Float32Array): Float32Array {
  out.set(new Float16Array(codes.buffer, codes.byteOffset, codes.length));
  return out;
}

/** Decodes each code as {@linkcode decodeBf16} does. `out` has as many elements. */
export function decodeBf16Array(codes: Uint16Array, out: Float32Array): Float32Array {
  const outBits = new Uint32Array(out.buffer, out.byteOffset, codes.length);
  for (let i = 0; i < codes.length; i++) outBits[i] = codes[i] << 16;
  return out;
}
