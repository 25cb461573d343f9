import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { randomSource } from "../../kernels/random_source.ts";
import { logRatios, medianInterval, robustDeviation, speedup } from "./statistics.ts";

/** Box–Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

for (const n of [10, 20, 40]) {
  Deno.test(`medianInterval() of ${n} samples misses the true median in 5 % of 1000 repeats, give or take 2`, () => {
    const random = randomSource(5);
    let missed = 0;
    for (let repeat = 0; repeat < 1000; repeat++) {
      const { interval: [low, high] } = medianInterval(Array.from({ length: n }, () => 100 + 5 * normal(random)));
      if (low > 100 || high < 100) missed++;
    }
    ok(missed >= 20 && missed <= 70, `missed ${missed} of 1000`);
  });
}

Deno.test("speedup() sees through drift that both sides share", () => {
  const random = randomSource(6);
  const drift = Array.from({ length: 20 }, (_, i) => 1 + i / 20); // Doubles over the rounds.
  const a = drift.map((factor) => 100 * factor * (1 + 0.005 * normal(random)));
  const b = drift.map((factor) => 80 * factor * (1 + 0.005 * normal(random)));
  const { median, interval } = speedup(a, b);
  ok(Math.abs(median - 1.25) < 0.01, `median ${median}`);
  ok(interval[0] > 1.23 && interval[1] < 1.27, `interval ${interval}`);
});

Deno.test("medianInterval() is the same for the same seed and has no width for equal samples", () => {
  const samples = [5, 1, 4, 2, 3, 9];
  strictEqual(String(medianInterval(samples).interval), String(medianInterval(samples).interval));
  deepStrictEqual(medianInterval([3, 3, 3]), { median: 3, interval: [3, 3] });
  deepStrictEqual(medianInterval([7]), { median: 7, interval: [7, 7] });
});

Deno.test("logRatios() pairs the rounds that both have", () => {
  deepStrictEqual(logRatios([2, 8, 1], [1, 8]), [Math.LN2, 0]);
});

Deno.test("robustDeviation() is a normal sample's standard deviation, outliers or not", () => {
  const random = randomSource(8);
  const samples = Array.from({ length: 2000 }, (_, i) => i % 50 === 0 ? 1000 : 5 * normal(random));
  ok(Math.abs(robustDeviation(samples) - 5) < 0.4, `${robustDeviation(samples)}`);
});
