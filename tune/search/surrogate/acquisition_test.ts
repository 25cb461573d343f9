import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { logImprovement } from "./acquisition.ts";
import { targetsOf } from "./targets.ts";

/** E[max(best − N(mean, deviation), 0)] by a sum over the normal density. */
function improvement(mean: number, deviation: number, best: number): number {
  let sum = 0;
  for (let z = -12; z < 12; z += 1e-3) {
    sum += Math.max(0, best - mean - deviation * z) * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI) * 1e-3;
  }
  return sum;
}

Deno.test("logImprovement() is the logarithm of the expected improvement, near and far", () => {
  for (const mean of [-2, 0, 0.5, 3]) {
    const expected = Math.log(improvement(mean, 0.7, 0));
    const got = logImprovement(mean, 0.7, 0);
    ok(Math.abs(got - expected) < 1e-3, `${mean}: ${got}, expected ${expected}`);
  }
});

Deno.test("logImprovement() still tells hopeless candidates apart", () => {
  ok(logImprovement(40, 1, 0) > logImprovement(41, 1, 0));
  ok(Number.isFinite(logImprovement(41, 1, 0)));
});

Deno.test("targetsOf() gives failures the place of the slow, and the slow one place", () => {
  const { targets } = targetsOf([1, 2, 4, 8, 16, undefined, 1000, "pending"]);
  strictEqual(targets[5], targets[6]);
  strictEqual(targets[4], targets[6]);
  ok(targets[0]! < targets[1]! && targets[3]! < targets[4]!);
  strictEqual(targets[7], undefined);
  ok(Math.abs(targets.slice(0, 7).reduce((sum, target) => sum! + target!, 0)!) < 1e-12);
});

Deno.test("targetsOf() bears costs that are all equal, all failed, or all pending", () => {
  deepStrictEqual(targetsOf([3, 3]).targets, [0, 0]);
  deepStrictEqual(targetsOf([undefined]).targets, [0]);
  deepStrictEqual(targetsOf(["pending"]).targets, [undefined]);
});
