import { deepStrictEqual, ok, strictEqual } from "node:assert";
import type { Config } from "../../kernels/space.ts";
import { randomSource } from "../../kernels/random_source.ts";
import { race } from "./race.ts";

const entrant = (n: number, workspaceBytes = 0) => ({ config: { n }, relError: 1e-6, errors: {}, workspaceBytes });

/** A device whose config `n` takes `us[n]` µs, with 1 % noise that differs by round and drifts by half. */
function device(us: readonly number[]) {
  const random = randomSource(11);
  const rounds = us.map(() => 0);
  const time = (configs: readonly Config[], count: number) =>
    Promise.resolve({
      samples: configs.map(({ n }) =>
        Array.from({ length: count }, () => {
          rounds[Number(n)]++;
          return us[Number(n)] * (1 + 0.5 * rounds[Number(n)] / 40) * (1 + 0.01 * (random() - 0.5));
        })
      ),
      readings: { values: { round: rounds[0] }, warnings: rounds[0] > 10 ? ["busy: another process"] : [] },
    });
  return { time, rounds };
}

const options = { until: Infinity, signal: new AbortController().signal };

Deno.test("race() chooses the fastest finalist and gives its speed-up with an interval above 1", async () => {
  const { time, rounds } = device([100, 80, 90, 120]);
  const verdict = await race({ ...options, baseline: entrant(0), finalists: [1, 2, 3].map((n) => entrant(n)), time });
  deepStrictEqual(verdict.config, { n: 1 });
  strictEqual(verdict.chosen, "tuned");
  deepStrictEqual(verdict.readings, { round: 40 });
  deepStrictEqual(verdict.warnings, ["busy: another process"]);
  ok(Math.abs(verdict.speedup - 1.25) < 0.02, `speed-up ${verdict.speedup}`);
  ok(verdict.speedupInterval[0] > 1.2);
  ok(rounds[3] < rounds[1], "the slow finalist left early");
});

Deno.test("race() keeps the baseline where nothing is faster beyond doubt", async () => {
  const { time } = device([100, 100, 104]);
  const verdict = await race({ ...options, baseline: entrant(0), finalists: [entrant(1), entrant(2)], time });
  strictEqual(verdict.chosen, "baseline");
  deepStrictEqual(verdict.config, { n: 0 });
  strictEqual(verdict.speedup, 1);
});

Deno.test("race() names ties and takes the one with the least workspace", async () => {
  const { time } = device([100, 80, 80]);
  const verdict = await race({
    ...options,
    baseline: entrant(0),
    finalists: [entrant(1, 2000), entrant(2, 1000)],
    time,
  });
  deepStrictEqual(verdict.config, { n: 2 });
  deepStrictEqual(verdict.ties, [{ n: 1 }]);
});

Deno.test("race() without finalists gives the baseline its own times", async () => {
  const { time } = device([100]);
  const verdict = await race({ ...options, baseline: entrant(0), finalists: [], time, until: 0 });
  strictEqual(verdict.chosen, "baseline");
  ok(verdict.samples >= 5);
});
