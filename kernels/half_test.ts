import assert from "node:assert/strict";
import { decodeBf16, decodeBf16Array, decodeF16, decodeF16Array, encodeBf16, encodeF16 } from "./half.ts";

Deno.test("encodeF16() and encodeBf16() undo decodeF16() and decodeBf16() for all finite bit patterns", () => {
  for (let code = 0; code < 65536; code++) {
    if ((code & 0x7c00) !== 0x7c00) assert.equal(encodeF16(decodeF16(code)), code);
    if ((code & 0x7f80) !== 0x7f80) assert.equal(encodeBf16(decodeBf16(code)), code);
  }
});

Deno.test("encodeF16() and encodeBf16() round to nearest, ties to even, and keep NaN", () => {
  assert.equal(decodeF16(encodeF16(1 + 2 ** -11)), 1);
  assert.equal(decodeF16(encodeF16(1 + 3 * 2 ** -11)), 1 + 2 ** -9);
  assert.equal(decodeBf16(encodeBf16(1 + 2 ** -8)), 1);
  assert.equal(decodeBf16(encodeBf16(1 + 3 * 2 ** -8)), 1 + 2 ** -6);
  assert.equal(decodeF16(encodeF16(1e6)), Infinity);
  assert.ok(Number.isNaN(decodeF16(encodeF16(NaN))) && Number.isNaN(decodeBf16(encodeBf16(NaN))));
});

Deno.test("decodeF16Array() and decodeBf16Array() give what the scalars give, from the middle of a buffer as well", () => {
  const codes = Uint16Array.from({ length: 65536 }, (_, code) => code).subarray(1);
  const out = () => new Float32Array(65536).subarray(1);
  assert.deepEqual([...decodeF16Array(codes, out())], [...codes].map(decodeF16));
  assert.deepEqual([...decodeBf16Array(codes, out())], [...codes].map(decodeBf16));
});
