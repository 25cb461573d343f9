import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { randomSource } from "../../kernels/random_source.ts";
import { acrossProcesses, betweenProcesses, type ProcessValue } from "./replicates.ts";

const exact = (value: number): ProcessValue => ({ value, interval: [value, value] });
const near = (a: number, b: number, share = 1e-9) => ok(Math.abs(a / b - 1) <= share, `${a} is not ${b}`);

/** Normal by Box–Muller. */
function normalSource(seed: number): () => number {
  const random = randomSource(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

Deno.test("betweenProcesses() pools the squares about each entry's own mean over n − 1 of each", () => {
  const entries = [[exact(Math.exp(0.01)), exact(Math.exp(-0.01))], [2, 2, 2].map(exact), [exact(7)]];
  const { deviation, degrees } = betweenProcesses(entries)!;
  strictEqual(degrees, 3);
  near(deviation, Math.sqrt(0.0002 / 3));
});

Deno.test("betweenProcesses() says nothing of entries that one process measured", () => {
  strictEqual(betweenProcesses([[exact(1)], []]), undefined);
});

Deno.test("betweenProcesses() finds no deviation where the rounds explain all", () => {
  const wide: ProcessValue[] = [1, 1.01].map((value) => ({ value, interval: [0.9 * value, 1.1 * value] }));
  deepStrictEqual(betweenProcesses([wide]), { deviation: 0, degrees: 1 });
});

Deno.test("acrossProcesses() gives the geometric mean, and an interval for one process more", () => {
  const { value, interval: [low, high] } = acrossProcesses([exact(2), exact(8)], { deviation: 0.01, degrees: 1e6 });
  near(value, 4);
  near(Math.log(high / 4), 1.96 * 0.01 * Math.sqrt(1.5), 0.002);
  near(low * high, 16);
});

Deno.test("acrossProcesses() keeps the width of the rounds where processes do not differ", () => {
  const one: ProcessValue = { value: 2, interval: [1.98, 2.02] };
  const { interval: [low, high] } = acrossProcesses([one, one], { deviation: 0, degrees: 1 });
  near(Math.log(high / low), 0.02 / Math.SQRT2);
});

Deno.test("acrossProcesses() has another process's value inside in 95 % of 2000 files, whatever their number of entries", () => {
  for (const [entries, processes] of [[1, 2], [1, 3], [2, 2], [8, 2], [8, 3]]) {
    const normal = normalSource(100 * entries + processes);
    const draw = () => exact(3 * Math.exp(0.007 * normal()));
    let inside = 0;
    for (let file = 0; file < 2000; file++) {
      const values = Array.from({ length: entries }, () => Array.from({ length: processes }, draw));
      const { interval: [low, high] } = acrossProcesses(values[0], betweenProcesses(values)!);
      const next = draw().value;
      if (low <= next && next <= high) inside++;
    }
    ok(inside >= 0.94 * 2000 && inside <= 0.96 * 2000, `${entries} × ${processes}: ${inside / 2000}`);
  }
});
