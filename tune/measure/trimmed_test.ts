import { ok, strictEqual } from "node:assert";
import { randomSource } from "../../kernels/random_source.ts";
import { studentQuantile, trimmedInterval } from "./trimmed.ts";

/** Box–Muller, and one sample in twenty far off. */
function contaminated(random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return random() < 0.05 ? 8 * normal : normal;
}

Deno.test("studentQuantile() agrees with the tables within 3 %", () => {
  for (
    const [p, degrees, t] of [
      [0.975, 3, 3.182],
      [0.975, 10, 2.228],
      [0.9995, 5, 6.869],
      [0.9995, 30, 3.646],
      [0.99999, 10, 7.53],
    ]
  ) {
    const got = studentQuantile(p, degrees);
    ok(Math.abs(got / t - 1) < 0.03, `t(${p}, ${degrees}) is ${got}, expected ${t}`);
  }
});

for (const [n, alpha] of [[10, 0.05], [10, 0.01], [40, 0.05], [40, 0.01]]) {
  Deno.test(`trimmedInterval() of ${n} samples with outliers misses the centre in ${100 * alpha} % of the cases at most`, () => {
    const random = randomSource(9);
    let missed = 0;
    for (let repeat = 0; repeat < 4000; repeat++) {
      const { mean, half } = trimmedInterval(Array.from({ length: n }, () => contaminated(random)), alpha);
      if (Math.abs(mean) > half) missed++;
    }
    ok(missed <= 4000 * alpha * 1.2, `missed ${missed} of 4000`);
  });
}

Deno.test("trimmedInterval() knows nothing from fewer than 6 samples", () => {
  strictEqual(trimmedInterval([1, 1, 1, 1, 1], 0.05).half, Infinity);
  strictEqual(trimmedInterval([1, 1, 1, 1, 1, 9], 0.05).mean, 1);
});
