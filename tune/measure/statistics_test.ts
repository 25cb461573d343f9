import { ok, strictEqual } from "node:assert";
import { randomSource } from "../../kernels/random_source.ts";
import { bootstrapInterval, medianInterval, speedup } from "./statistics.ts";

/** Box–Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

Deno.test("medianInterval() covers the true median in 90 % of repeats or more", () => {
  const random = randomSource(5);
  let covered = 0;
  for (let repeat = 0; repeat < 200; repeat++) {
    const { interval: [low, high] } = medianInterval(Array.from({ length: 25 }, () => 100 + 5 * normal(random)));
    if (low <= 100 && 100 <= high) covered++;
  }
  ok(covered >= 180, `covered ${covered} of 200`);
});

Deno.test("speedup() sees through drift that both sides share", () => {
  const random = randomSource(6);
  const drift = Array.from({ length: 20 }, (_, i) => 1 + i / 20); // Doubles over the rounds.
  const a = drift.map((factor) => 100 * factor * (1 + 0.005 * normal(random)));
  const b = drift.map((factor) => 80 * factor * (1 + 0.005 * normal(random)));
  const { median, interval } = speedup(a, b);
  ok(Math.abs(median - 1.25) < 0.01, `median ${median}`);
  ok(interval[0] > 1.23 && interval[1] < 1.27, `interval ${interval}`);
});

Deno.test("speedup() of a config over itself includes 1 in 90 % of repeats or more", () => {
  const random = randomSource(7);
  const times = () => Array.from({ length: 15 }, () => 100 * (1 + 0.05 * normal(random)));
  let real = 0;
  for (let repeat = 0; repeat < 200; repeat++) {
    const { interval: [low, high] } = speedup(times(), times());
    if (low > 1 || high < 1) real++;
  }
  ok(real <= 20, `${real} of 200 called real`);
});

Deno.test("bootstrapInterval() is the same for the same seed and has no width for equal rounds", () => {
  const interval = bootstrapInterval(10, (picked) => picked[0]);
  strictEqual(String(interval), String(bootstrapInterval(10, (picked) => picked[0])));
  const [low, high] = bootstrapInterval(10, () => 3);
  strictEqual(low, 3);
  strictEqual(high, 3);
});
