import assert from "node:assert/strict";
import type { HostTensor } from "../devices/device.ts";
import { inputs } from "./inputs.ts";
import { type MlaDecodeProblem, parseProblem } from "./problem.ts";
import { reference, sampledRows, tolerance } from "./reference.ts";

const F32 = { ACC: "f32" };

/** Two tokens with K = V = 1 and K = V = 2 in every channel, and q = 1: everything can be computed by hand. */
function byHand(extra: Record<string, unknown> = {}): { problem: MlaDecodeProblem; tensors: HostTensor[] } {
  const problem = parseProblem({
    heads: 1,
    latent: 64,
    rope: 0,
    contextLens: 2,
    pageSize: 1,
    smScale: 1 / 64,
    ...extra,
  });
  const cache = new Uint8Array(3 * 64).fill(0x7f);
  cache.fill(0x38, 64, 128); // 1
  cache.fill(0x40, 0, 64); // 2
  const tensors: HostTensor[] = [
    { name: "q", type: "f32", shape: [1, 1, 64], data: new Float32Array(64).fill(1) },
    { name: "cache", type: "e4m3", shape: [3, 64], data: cache },
    { name: "kv_indptr", type: "i32", shape: [2], data: Int32Array.of(0, 2) },
    { name: "kv_indices", type: "i32", shape: [2], data: Int32Array.of(1, 0) },
    { name: "sinks", type: "f32", shape: [1], data: Float32Array.of(1.5) },
  ];
  return { problem, tensors };
}

function outputs(out: ArrayLike<number>, lse: ArrayLike<number>, shape: number[]): Map<string, HostTensor> {
  return new Map<string, HostTensor>([
    ["out", { name: "out", type: "f32", shape: [...shape, out.length / lse.length], data: Float32Array.from(out) }],
    ["lse", { name: "lse", type: "f32", shape, data: Float32Array.from(lse) }],
  ]);
}

const filled = (value: number) => outputs(new Array(64).fill(value), [0], [1, 1]).get("out")!.data;

Deno.test("reference() is attention with V = K: two tokens by hand, with scale, cap and sink", () => {
  const cases: [Record<string, unknown>, number, number][] = [
    [{}, (Math.E + 2 * Math.E ** 2) / (Math.E + Math.E ** 2), Math.log(Math.E + Math.E ** 2)],
    [
      { kvScale: 2 },
      2 * (Math.exp(2) + 2 * Math.exp(4)) / (Math.exp(2) + Math.exp(4)),
      Math.log(Math.exp(2) + Math.exp(4)),
    ],
    [
      { logitCap: 1 },
      (Math.exp(Math.tanh(1)) + 2 * Math.exp(Math.tanh(2))) / (Math.exp(Math.tanh(1)) + Math.exp(Math.tanh(2))),
      Math.log(Math.exp(Math.tanh(1)) + Math.exp(Math.tanh(2))),
    ],
    [
      { sinks: true },
      (Math.E + 2 * Math.E ** 2) / (Math.E + Math.E ** 2 + Math.exp(1.5)),
      Math.log(Math.E + Math.E ** 2), // the sink has no part in the log-sum-exp
    ],
  ];
  for (const [extra, out, lse] of cases) {
    const { problem, tensors } = byHand(extra);
    const check = reference(problem, tensors).check(outputs(filled(out), [lse], [1, 1]), F32);
    assert.ok(check.ok, `${JSON.stringify(extra)}: ${check.why}`);
  }
});

Deno.test("check() refuses what is off by more than the tolerance, in one row or in the log-sum-exp", () => {
  const { problem, tensors } = byHand();
  const { check } = reference(problem, tensors);
  const out = (Math.E + 2 * Math.E ** 2) / (Math.E + Math.E ** 2);
  const lse = Math.log(Math.E + Math.E ** 2);
  assert.match(
    check(outputs(filled(out * 1.0001), [lse], [1, 1]), F32).why!,
    /relative error 1\.00e-4 exceeds 2\.00e-5/,
  );
  assert.match(check(outputs(filled(out), [lse + 0.001], [1, 1]), F32).why!, /log-sum-exp is off by 1\.00e-3/);
  assert.ok(check(outputs(filled(out * 1.0001), [lse], [1, 1]), { ACC: "f16" }).ok);
});

Deno.test("check() never passes NaN, infinity, a missing output or one of the wrong size", () => {
  const { problem, tensors } = byHand();
  const { check } = reference(problem, tensors);
  assert.match(check(outputs(filled(NaN), [0], [1, 1]), F32).why!, /out\[0, 0, 0\] is NaN, or was never written/);
  assert.match(check(outputs(filled(Infinity), [0], [1, 1]), F32).why!, /Infinity/);
  assert.match(check(outputs(filled(1), [NaN], [1, 1]), F32).why!, /lse\[0, 0\] is NaN/);
  assert.match(check(new Map(), F32).why!, /output "out" is missing/);
  assert.match(check(outputs([1, 2], [0], [1, 1]), F32).why!, /out has 2 elements/);
});

Deno.test("check() wants zeros and −∞ for an empty request", () => {
  const problem = parseProblem({ heads: 1, latent: 64, rope: 0, contextLens: [0, 2] });
  const tensors = inputs(problem, 1);
  const { check } = reference(problem, tensors);
  const full = check(outputs(new Array(128).fill(0), [0, 0], [2, 1]), F32);
  assert.ok(!full.ok && full.errors.lseError === Infinity);
});

Deno.test("check() counts no error that the output's type cannot avoid: f16 has no value below 2⁻²⁴", () => {
  const { problem, tensors } = byHand({ sinks: true, ioType: "f16" });
  const sink: HostTensor = { name: "sinks", type: "f32", shape: [1], data: Float32Array.of(20) };
  const { check } = reference(problem, [...tensors.filter(({ name }) => name !== "sinks"), sink]);
  const out = (Math.E + 2 * Math.E ** 2) / Math.exp(20); // 3.6e-8, which f16 rounds to 2⁻²⁴ = 6e-8
  assert.ok(out > 2 ** -25 && out < 2 ** -24);
  const lse = Math.log(Math.E + Math.E ** 2);
  assert.ok(check(outputs(filled(2 ** -24), [lse], [1, 1]), F32).ok);
  assert.ok(!check(outputs(filled(2 ** -22), [lse], [1, 1]), F32).ok);
});

Deno.test("sampledRows() has the first and the last row, keeps the budget, and takes all rows where they fit", () => {
  const problem = parseProblem({ heads: 16, batch: 4, contextLens: 1000 });
  assert.equal(sampledRows(problem, Infinity).length, 64);
  const rows = sampledRows(problem, 20 * 1000 * 1088);
  assert.equal(rows.length, 20);
  assert.equal(rows[0], 0);
  assert.equal(rows.at(-1), 63);
  assert.deepEqual(sampledRows(problem, 0), [0, 63]);
});

Deno.test("tolerance() follows ACC and adds the rounding of the output's type", () => {
  const f32 = parseProblem({});
  assert.equal(tolerance(f32, F32).out, 2e-5);
  assert.equal(tolerance(f32, { ACC: "f16" }).out, 3e-3);
  assert.equal(tolerance(f32, F32).lse, 1e-4);
  assert.equal(tolerance(parseProblem({ ioType: "bf16" }), F32).out, 2e-5 + 2 ** -8);
});

Deno.test("tolerance() is wider for the class that admits E4M3 probabilities, and for no other", () => {
  const of = (accuracy: string, config = {}) => tolerance(parseProblem({ accuracy }), config).out;
  assert.deepEqual([of("standard"), of("fp8_p"), of("fp8_p", { ACC: "f32" })], [3e-3, 4e-2, 2e-5]);
});
