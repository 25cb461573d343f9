import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { randomSource } from "../../kernels/random_source.ts";
import { acrossProcesses, type Between, betweenProcesses, moderated, type ProcessValue } from "./replicates.ts";

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

Deno.test("moderated() counts a file's processes but the first, and other files as two", () => {
  const own = { deviation: 0.01, degrees: 8 };
  deepStrictEqual(moderated(own, 2, []), own);
  const other = { deviation: 0.002, degrees: 8 };
  const one = moderated(own, 2, [other]);
  strictEqual(one.degrees, 2);
  near(one.deviation, Math.sqrt((0.01 ** 2 + 0.002 ** 2) / 2));
  const many = moderated(own, 4, [other, other, { deviation: 0, degrees: 40 }]);
  strictEqual(many.degrees, 5);
  near(many.deviation, Math.sqrt((3 * 0.01 ** 2 + 2 * (2 * 0.002 ** 2) / 3) / 5));
});

Deno.test("moderated() has another card's values inside where a process moves all entries of a file together", () => {
  const normal = normalSource(7);
  const [FILES, ENTRIES, CARD, PLACEMENT] = [3000, 8, 0.006, 0.002];
  /** A process's values of a file's entries: what it does to all, and to each. */
  const process = () => {
    const card = CARD * normal();
    return Array.from({ length: ENTRIES }, () => exact(3 * Math.exp(card + PLACEMENT * normal())));
  };
  for (const processes of [2, 3]) {
    const files = Array.from({ length: FILES }, () => {
      const measured = Array.from({ length: processes }, process);
      const entries = Array.from({ length: ENTRIES }, (_, i) => measured.map((values) => values[i]));
      return { entries, own: betweenProcesses(entries)! };
    });
    const next = files.map(process);
    const inside = (between: (file: number) => Between) => {
      const hits = files.map(({ entries }, f) => {
        return entries.filter((values, i) => {
          const { interval: [low, high] } = acrossProcesses(values, between(f));
          return low <= next[f][i].value && next[f][i].value <= high;
        }).length;
      });
      return hits.reduce((sum, one) => sum + one, 0) / (FILES * ENTRIES);
    };
    const alone = inside((f) => files[f].own);
    const together = inside((f) => {
      const others = Array.from({ length: 10 }, (_, k) => files[(f + k + 1) % FILES].own);
      return moderated(files[f].own, processes, others);
    });
    console.log(
      `inside, ${processes} processes: ${alone.toFixed(3)} by the file alone, ${
        together.toFixed(3)
      } with ten other files`,
    );
    ok(alone < 0.9, `${processes} processes: ${alone} inside by the file alone`);
    ok(together >= 0.95 && together <= 0.99, `${processes} processes: ${together} inside with ten other files`);
  }
});
