import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { Budget, Settled, taskMs } from "./budget.ts";

Deno.test("taskMs() gives the first task twice the time of the others, which share what is left evenly", () => {
  deepStrictEqual([taskMs(0, 4, 5000), taskMs(1, 4, 3000), taskMs(2, 4, 2000), taskMs(3, 4, 1000)], [
    2000,
    1000,
    1000,
    1000,
  ]);
  strictEqual(taskMs(0, 1, 5000), 5000);
});

Deno.test("taskMs() gives what a task leaves to those after it", () => {
  ok(taskMs(1, 4, 4800) > taskMs(1, 4, 3000));
  strictEqual(taskMs(3, 4, -1), 0);
});

Deno.test("Budget is spent after so many evaluations or compiles, whichever comes first", () => {
  const evaluations = new Budget({ evaluations: 2 });
  evaluations.note(9);
  strictEqual(evaluations.spent, false);
  evaluations.note(0);
  strictEqual(evaluations.spent, true);
  const compiles = new Budget({ compiles: 3 });
  compiles.note(2);
  strictEqual(compiles.spent, false);
  compiles.note(2);
  strictEqual(compiles.spent, true);
});

Deno.test("Settled notices a run of poor promises, and none where a strategy promises nothing", () => {
  const settled = new Settled();
  const until = (gain: number | undefined) => {
    for (let count = 1; count < 100; count++) if (settled.after(gain)) return count;
  };
  strictEqual(until(undefined), undefined);
  for (let i = 0; i < 5; i++) settled.after(1e-6);
  settled.after(0.1);
  strictEqual(until(1e-6), 12);
});
