import { deepStrictEqual, ok, strictEqual } from "node:assert";
import type { DeviceInfo, WebGpuProgram } from "../kernels/devices/device.ts";
import type { Implementation } from "../kernels/kernel.ts";
import { type Config, configKey } from "../kernels/space.ts";
import { Budget } from "./budget.ts";
import { Journal } from "./journal.ts";
import { STRATEGIES } from "./search/strategies.ts";
import { runTask, type TaskContext } from "./task.ts";
import { IDENTITY } from "./testing/journal_rows.ts";
import { simulatedTask, simulatedTimes } from "./testing/simulated_task.ts";
import { SYNTHETIC, syntheticCost } from "./testing/synthetic_space.ts";
import type { Workbench } from "./workbench.ts";
import { WorkerFailure } from "./worker/host.ts";

const BASELINE: Config = { threads: 32, rows: 1, columns: 1, unroll: 1, layout: "row", cached: false, splits: 1 };

const IMPLEMENTATION: Implementation<unknown> = {
  space: () => SYNTHETIC,
  baseline: () => BASELINE,
  workspaceBytes: () => 1,
  program: (_, config) => ({
    backend: "webgpu",
    buffers: [],
    passes: [{ label: "", source: configKey(config), entryPoint: "", bindings: [], workgroups: [1, 1, 1] }],
    outputs: [],
  } satisfies WebGpuProgram),
  sources: () => [],
};

/**
 * A workbench over the made-up landscape, and what it was asked for.
 *
 * @param asks How often a config's compile is asked about until it has ended.
 */
function workbench(asks: (config: Config) => number = () => 1) {
  const prepared: { readonly key: string; readonly ready: boolean }[][] = [];
  const asked = new Map<string, number>();
  const tried: string[] = [];
  const us = (config: Config) => 100 * syntheticCost(config)!;
  const fake = {
    prepare(configs: readonly Config[]) {
      const states = configs.map((config) => {
        const key = configKey(config);
        asked.set(key, (asked.get(key) ?? 0) + 1);
        return { key, ready: asked.get(key)! >= asks(config) };
      });
      prepared.push(states);
      return Promise.resolve(states.map(({ ready }) => ready));
    },
    try(config: Config) {
      tried.push(configKey(config));
      if (syntheticCost(config) === undefined) return Promise.reject(new WorkerFailure("compile", "no", false));
      return Promise.resolve({ compileMs: 1, build: {}, check: { ok: true, relError: 0, errors: {} } });
    },
    time: (configs: readonly Config[], { samples }: { samples: number }) =>
      Promise.resolve({ samples: configs.map((config) => new Array<number>(samples).fill(us(config))) }),
    drop: () => Promise.resolve(),
    trust() {},
    assure: () => Promise.resolve(),
  };
  return { fake: fake as unknown as Workbench, prepared, tried };
}

async function run(fake: Workbench, changes: Partial<TaskContext>) {
  using journal = Journal.open(":memory:");
  return await runTask({
    implementation: IMPLEMENTATION,
    problem: {},
    device: {} as DeviceInfo,
    workbench: fake,
    coldCache: false,
    identity: IDENTITY,
    journal,
    strategy: STRATEGIES.bayesian,
    space: SYNTHETIC,
    seed: 1,
    searchUntil: Infinity,
    raceUntil: Infinity,
    signal: new AbortController().signal,
    onProgress() {},
    ...changes,
  });
}

Deno.test("runTask() has each candidate prepared before it is tried, the first beside the baseline, and only so many ahead", async () => {
  const { fake, prepared, tried } = workbench();
  const { candidates } = await run(fake, { ahead: 3, budget: new Budget({ evaluations: 30 }) });
  strictEqual(candidates.size, 30);
  const measured = tried.slice(1, 31); // The baseline comes first.
  const [first, ...later] = prepared;
  deepStrictEqual(first.map(({ key }) => key), [configKey(BASELINE), ...later[0].map(({ key }) => key)]);
  deepStrictEqual(later.map(([{ key }]) => key), measured);
  deepStrictEqual([...new Set(later.map(({ length }) => length))], [1 + 3]);
});

Deno.test("runTask() tries what has been compiled while others compile, and waits where nothing has", async () => {
  const slow = ({ threads }: Config) => threads === 64 ? 12 : threads === 128 ? Infinity : 2;
  const { fake, prepared, tried } = workbench(slow);
  const { candidates } = await run(fake, { ahead: 3, budget: new Budget({ evaluations: 60 }) });
  strictEqual(candidates.size, 60);
  let [waited, passed] = [0, 0];
  for (const [i, queue] of prepared.slice(1).entries()) { // The first is the baseline's.
    const first = queue.findIndex(({ ready }) => ready);
    strictEqual(tried[i + 1], queue[Math.max(0, first)].key);
    if (first < 0) waited++;
    else if (first > 0) passed++;
  }
  ok(waited > 3 && passed > 10, `${waited} waited for, ${passed} times another first`);
});

Deno.test("runTask() prepares nothing for a worker that compiles one at a time, and keeps to its compiles", async () => {
  const { fake, prepared } = workbench();
  const { candidates } = await run(fake, { budget: new Budget({ compiles: 5 }) });
  deepStrictEqual(prepared, []);
  strictEqual(candidates.size, 5);
});

Deno.test("runTask() ends a search that promises nothing more, long before the space is used up", async () => {
  const { fake } = workbench();
  const { candidates, exhausted, verdict } = await run(fake, {});
  ok(!exhausted && candidates.size < 1000, `${candidates.size}`);
  ok(verdict.speedup > 2, `${verdict.speedup}`);
});

Deno.test("runTask() begins with its lessons", async () => {
  const { fake, tried } = workbench();
  const lesson = { ...BASELINE, threads: 64 };
  await run(fake, { lessons: [lesson], budget: new Budget({ evaluations: 2 }) });
  strictEqual(tried[1], configKey(lesson));
});

Deno.test("runTask() tries one candidate at least, the first lesson, also where its time is up", async () => {
  const lesson = { a: 3, b: 7 };
  const { report } = await simulatedTask({ us: simulatedTimes(5) }, {
    searchUntil: 0,
    strategy: STRATEGIES.bayesian,
    lessons: [lesson],
  });
  deepStrictEqual([...report.candidates.values()].map(({ config }) => config), [lesson]);
});
