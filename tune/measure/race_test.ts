import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert";
import type { Config } from "../../kernels/space.ts";
import { randomSource } from "../../kernels/random_source.ts";
import { WorkerFailure } from "../worker/host.ts";
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
  deepStrictEqual(verdict.readings, { round: rounds[0] });
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

Deno.test("race() takes what it claims from fresh rounds, not from those that made the winner", async () => {
  const { time } = device([100, 90]);
  const asked: number[] = [];
  const verdict = await race({
    ...options,
    baseline: entrant(0),
    finalists: [entrant(1)],
    time: async (configs, rounds) => {
      // Fast as long as the race is open, and then as slow as the baseline.
      const lucky = asked.length < 2;
      asked.push(rounds);
      const { samples } = await time(configs, rounds);
      return { samples: lucky ? samples : samples.map((row, i) => i === 0 ? row : row.map((us) => us * 100 / 90)) };
    },
  });
  ok(asked.length >= 3, `${asked}`);
  strictEqual(verdict.chosen, "baseline");
});

Deno.test("race() asks for a rested device for the claim alone", async () => {
  const { time } = device([100, 80, 90]);
  const asked: [configs: number, rested: boolean | undefined][] = [];
  const noting: typeof time = (configs, rounds, ...[rested]: [boolean?]) => {
    asked.push([configs.length, rested]);
    return time(configs, rounds);
  };
  await race({ ...options, baseline: entrant(0), finalists: [entrant(1), entrant(2)], time: noting });
  deepStrictEqual(asked.filter(([, rested]) => rested), [[2, true]]);
  deepStrictEqual(asked.at(-1), [2, true]);
});

Deno.test("race() gives a baseline that nobody beats times of a rested device, where there is time", async () => {
  const { time } = device([100, 100, 104]);
  const asked: (boolean | undefined)[] = [];
  const noting: typeof time = (configs, rounds, ...[rested]: [boolean?]) => {
    asked.push(rested);
    return time(configs, rounds);
  };
  const finalists = [entrant(1), entrant(2)];
  const { chosen, samples } = await race({ ...options, baseline: entrant(0), finalists, time: noting });
  deepStrictEqual([chosen, samples, asked.at(-1)], ["baseline", 20, true]);
});

Deno.test("race() does not claim what the A/A bias of the device explains", async () => {
  const { time } = device([100, 97]);
  const noise = { floor: 0.06, bias: 0.05, deviation: 0.01 };
  const run = (changes: object) =>
    race({ ...options, baseline: { ...entrant(0), ...changes }, finalists: [entrant(1)], time });
  strictEqual((await run({})).chosen, "tuned");
  const biased = await run({ noise });
  strictEqual(biased.chosen, "baseline");
  strictEqual(biased.noiseFloor, 0.06);
});

Deno.test("race() drops a finalist that fails as it is timed, and says so", async () => {
  const { time } = device([100, 60, 80]);
  const failing = (configs: readonly Config[], rounds: number) => {
    if (configs.some(({ n }) => n === 1)) throw new WorkerFailure("crash", "exit code 139", true);
    return time(configs, rounds);
  };
  const finalists = [entrant(1), entrant(2)];
  const verdict = await race({ ...options, baseline: entrant(0), finalists, time: failing });
  deepStrictEqual(verdict.config, { n: 2 });
  deepStrictEqual(verdict.dropouts, [{ config: { n: 1 }, outcome: "crash", message: "exit code 139" }]);
  ok(verdict.warnings!.some((warning) => warning.startsWith("dropped in the race: n=1: crash")), `${verdict.warnings}`);
});

Deno.test("race() rejects where the baseline itself cannot be timed", async () => {
  const time = () => Promise.reject(new WorkerFailure("timeout", "no end", true));
  await rejects(race({ ...options, baseline: entrant(0), finalists: [entrant(1)], time }), /no end/);
});

Deno.test("race() gives the next best where the winner's output is wrong when it is checked again", async () => {
  const { time } = device([100, 60, 80, 95]);
  const check = ({ n }: Config) =>
    Promise.resolve({ ok: n !== 1, relError: 0.5, errors: {}, why: "relative error 0.5" });
  const finalists = [1, 2, 3].map((n) => entrant(n));
  const verdict = await race({ ...options, baseline: entrant(0), finalists, time, check });
  deepStrictEqual(verdict.config, { n: 2 });
  deepStrictEqual(verdict.dropouts, [{ config: { n: 1 }, outcome: "wrong", message: "relative error 0.5" }]);
});

Deno.test("race() keeps a baseline that is as fast as any to within half a percent", async () => {
  const { time } = device([100, 99.9]);
  const verdict = await race({ ...options, baseline: entrant(0, 5000), finalists: [entrant(1)], time });
  strictEqual(verdict.chosen, "baseline");
});

Deno.test("race() that runs out of time says that it is undecided", async () => {
  const { time } = device([100, 80, 80.1]);
  const verdict = await race({
    ...options,
    baseline: entrant(0),
    finalists: [entrant(1), entrant(2)],
    time,
    until: 0,
  });
  strictEqual(verdict.chosen, "tuned");
  ok(verdict.warnings!.includes("undecided: time ran out before the race was over"), `${verdict.warnings}`);
});

Deno.test("race() without finalists gives the baseline its own times", async () => {
  const { time } = device([100]);
  const verdict = await race({ ...options, baseline: entrant(0), finalists: [], time, until: 0 });
  strictEqual(verdict.chosen, "baseline");
  strictEqual(verdict.samples, 20);
});
