import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeE4M3, decodeE4M3Array, E4M3_MAX, encodeE4M3, encodeE4M3Array } from "./fp8.ts";

const NAN_CODES = [0x7f, 0xff];
const FINITE_CODES = Array.from({ length: 256 }, (_, code) => code).filter((code) => !NAN_CODES.includes(code));

/** The neighbour of a positive float64 towards +∞ (`by` 1) or 0 (`by` -1). */
function nextFloat64(x: number, by: 1n | -1n): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  view.setBigUint64(0, view.getBigUint64(0) + by);
  return view.getFloat64(0);
}

Deno.test("decodeE4M3() gives the values of the format's definition for hand-picked codes", () => {
  const expected: [number, number][] = [
    [0x00, 0],
    [0x01, 2 ** -9],
    [0x07, 7 * 2 ** -9],
    [0x08, 2 ** -6],
    [0x38, 1],
    [0x39, 1.125],
    [0x77, 240],
    [0x78, 256],
    [0x7e, 448],
    [0x80, -0],
    [0x81, -(2 ** -9)],
    [0xfe, -448],
    [0x7f, NaN],
    [0xff, NaN],
  ];
  for (const [code, value] of expected) assert.ok(Object.is(decodeE4M3(code), value), `0x${code.toString(16)}`);
});

Deno.test("decodeE4M3() rises strictly from code 0 to code 0x7e and mirrors below 0", () => {
  for (let code = 0; code < 0x7e; code++) assert.ok(decodeE4M3(code) < decodeE4M3(code + 1), `code ${code}`);
  for (let code = 0; code <= 0x7e; code++) assert.equal(decodeE4M3(code | 0x80), -decodeE4M3(code));
});

Deno.test("decodeE4M3() refuses what is no code and names it", () => {
  for (const code of [-1, 256, 1.5, NaN]) assert.throws(() => decodeE4M3(code), new RegExp(`decode ${code} as E4M3`));
});

Deno.test("encodeE4M3() gives back all 254 finite codes, -0 included", () => {
  for (const code of FINITE_CODES) assert.equal(encodeE4M3(decodeE4M3(code)), code);
});

Deno.test("encodeE4M3() sends every midpoint to the even code and its float64 neighbours to the nearer one", () => {
  for (let code = 0; code < 0x7e; code++) {
    const middle = (decodeE4M3(code) + decodeE4M3(code + 1)) / 2;
    const even = code % 2 === 0 ? code : code + 1;
    for (const sign of [0, 0x80]) {
      const signed = (x: number) => sign ? -x : x;
      assert.equal(encodeE4M3(signed(middle)), even | sign, `midpoint ${signed(middle)}`);
      assert.equal(encodeE4M3(signed(nextFloat64(middle, -1n))), code | sign, `below ${signed(middle)}`);
      assert.equal(encodeE4M3(signed(nextFloat64(middle, 1n))), (code + 1) | sign, `above ${signed(middle)}`);
    }
  }
});

Deno.test("encodeE4M3() gives the nearest code for any finite number", () => {
  const values = FINITE_CODES.map((code) => decodeE4M3(code));
  fc.assert(fc.property(fc.oneof(fc.double({ noNaN: true }), fc.double({ min: -500, max: 500, noNaN: true })), (x) => {
    const clamped = Math.min(Math.max(x, -E4M3_MAX), E4M3_MAX);
    const error = Math.abs(decodeE4M3(encodeE4M3(x)) - clamped);
    return values.every((value) => error <= Math.abs(value - clamped));
  }));
});

Deno.test("encodeE4M3() saturates at 448, also for infinities", () => {
  for (const x of [448, 449, 464, 465, 480, 1e308, Infinity]) {
    assert.equal(encodeE4M3(x), 0x7e, `${x}`);
    assert.equal(encodeE4M3(-x), 0xfe, `${-x}`);
  }
});

Deno.test("encodeE4M3() keeps the sign of what rounds to zero", () => {
  assert.equal(encodeE4M3(-0), 0x80);
  assert.equal(encodeE4M3(-Number.MIN_VALUE), 0x80);
  assert.equal(encodeE4M3(Number.MIN_VALUE), 0);
});

Deno.test("encodeE4M3() rejects NaN with a RangeError that names it", () => {
  assert.throws(() => encodeE4M3(NaN), { name: "RangeError", message: "Cannot encode NaN as E4M3: expected a number" });
});

Deno.test("encodeE4M3Array() agrees with encodeE4M3() element by element, from every kind of array", () => {
  const xs = Float32Array.from({ length: 4099 }, (_, i) => (i - 2000) * 1.37e-3 * 2 ** (i % 9));
  const expected = Uint8Array.from(xs, (x) => encodeE4M3(x));
  assert.deepEqual(encodeE4M3Array(xs), expected);
  assert.deepEqual(encodeE4M3Array([...xs]), expected);
  const out = new Uint8Array(5000);
  assert.equal(encodeE4M3Array(Float64Array.from(xs), out), out);
  assert.deepEqual(out.subarray(0, xs.length), expected);
});

Deno.test("encodeE4M3Array() names the index of a NaN", () => {
  assert.throws(() => encodeE4M3Array([0, 1, NaN]), /NaN at index 2/);
});

Deno.test("decodeE4M3Array() agrees with decodeE4M3() for all 256 codes", () => {
  const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
  const values = decodeE4M3Array(codes);
  for (const code of codes) assert.ok(Object.is(values[code], decodeE4M3(code)), `code ${code}`);
});

Deno.test("array functions refuse an output that is too short and name both lengths", () => {
  assert.throws(() => encodeE4M3Array([1, 2, 3], new Uint8Array(2)), /3 elements into 2/);
  assert.throws(() => decodeE4M3Array(new Uint8Array(3), new Float32Array(2)), /3 elements into 2/);
});
