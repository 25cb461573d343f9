import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { costOf, finalistsOf } from "./finalists.ts";

const BASELINE = [100, 101, 99, 100, 100];

/** A candidate whose rounds spread by `spread` around `cost`. */
function row(cost: number, spread: number, workspaceBytes = 1000) {
  const samples = [-1, 1, 0, 2, -2].map((step, i) => BASELINE[i] * cost * (1 + spread * step));
  return { cost: costOf(samples, BASELINE), samples, baselineSamples: BASELINE, workspaceBytes };
}

const costs = (rows: { cost?: number }[]) => rows.map(({ cost }) => Number(cost!.toFixed(2)));

Deno.test("finalistsOf() takes four of those that are clearly slower, and no more", () => {
  deepStrictEqual(costs(finalistsOf([1.3, 0.8, 1.2, 1, 0.9, 1.1].map((cost) => row(cost, 0.001)))), [0.8, 0.9, 1, 1.1]);
});

Deno.test("finalistsOf() takes all that noise may have kept from being the best, up to 24", () => {
  const close = Array.from({ length: 10 }, (_, i) => 0.8 + 0.005 * i);
  strictEqual(finalistsOf([...close, 2].map((cost) => row(cost, 0.03))).length, 10);
  const many = Array.from({ length: 50 }, (_, i) => 0.8 + 0.001 * i);
  strictEqual(finalistsOf(many.map((cost) => row(cost, 0.03))).length, 24);
});

Deno.test("finalistsOf() takes no more than fit into the device's memory together, but four in any case", () => {
  const close = Array.from({ length: 10 }, (_, i) => 0.8 + 0.005 * i);
  strictEqual(finalistsOf(close.map((cost) => row(cost, 0.03, 0.9e9))).length, 6);
  strictEqual(finalistsOf(close.map((cost) => row(cost, 0.03, 9e9))).length, 4);
});

Deno.test("finalistsOf() passes over candidates that failed", () => {
  const failed = { samples: [], baselineSamples: [], workspaceBytes: 0 };
  deepStrictEqual(finalistsOf([failed]), []);
  strictEqual(finalistsOf([failed, row(1, 0.01), failed]).length, 1);
});

Deno.test("costOf() sees through drift within a candidate's rounds", () => {
  const drift = [1, 1.1, 1.2, 1.5, 2];
  const cost = costOf(drift.map((factor) => 80 * factor), drift.map((factor) => 100 * factor));
  ok(Math.abs(cost - 0.8) < 1e-9, `${cost}`);
});
