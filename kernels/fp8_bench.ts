/** The E4M3 codec against the plain conversion of as many numbers. */
import { decodeE4M3Array, encodeE4M3Array } from "./fp8.ts";

const COUNT = 1 << 20;
// Over all magnitudes and both signs.
const values = Float32Array.from({ length: COUNT }, (_, i) => Math.sin(i) * 2 ** (i % 12));
const codes = encodeE4M3Array(values);
const floats = new Float32Array(COUNT);
const bytes = new Uint8Array(COUNT);

Deno.bench({
  name: "Float32Array.set(Uint8Array), 2²⁰ values",
  group: "decode",
  baseline: true,
  fn: () => floats.set(codes),
});
Deno.bench({ name: "decodeE4M3Array()", group: "decode", fn: () => void decodeE4M3Array(codes, floats) });
Deno.bench({
  name: "Uint8Array.set(Float32Array), 2²⁰ values",
  group: "encode",
  baseline: true,
  fn: () => bytes.set(values),
});
Deno.bench({ name: "encodeE4M3Array()", group: "encode", fn: () => void encodeE4M3Array(values, bytes) });
