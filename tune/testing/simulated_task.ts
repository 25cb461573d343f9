/** A whole task, from search to verdict, over a simulated device within the process: hundreds take seconds. */
import type { Implementation } from "../../kernels/kernel.ts";
import { randomSource } from "../../kernels/random_source.ts";
import { type Config, configKey, configs, type Space } from "../../kernels/space.ts";
import { Journal } from "../journal.ts";
import { STRATEGIES } from "../search/strategies.ts";
import { runTask, type TaskContext, type TaskReport } from "../task.ts";
import { Workbench, WorkerSlot } from "../workbench.ts";
import { SIMULATED_DEVICE, type SimulatedDevice, simulatedIdentity, type SimulationPlan } from "./simulated_device.ts";
import { simulatedWorkers } from "./simulated_host.ts";

const VALUES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** A hundred configs. */
export const SIMULATED_SPACE: Space = {
  params: ["a", "b"].map((name) => ({ name, values: VALUES, what: name, recompiles: true })),
  constraints: [],
};

/** What the user of the simulated kernel has untuned. */
export const SIMULATED_BASELINE: Config = { a: 0, b: 0 };

const IMPLEMENTATION: Implementation<unknown> = {
  space: () => SIMULATED_SPACE,
  baseline: () => SIMULATED_BASELINE,
  workspaceBytes: () => 1024,
  program: () => {
    throw new Error("Nothing runs here");
  },
  sources: () => [],
};

/** Times in µs of the hundred configs: two parameters that matter and how they go together, by seed. */
export function simulatedTimes(seed: number): Record<string, number> {
  const random = randomSource(seed);
  const effects = [VALUES, VALUES].map((values) => values.map(() => 0.3 * random()));
  return Object.fromEntries(
    [...configs(SIMULATED_SPACE)].map((config) => [
      configKey(config),
      100 * Math.exp(effects[0][Number(config.a)] + effects[1][Number(config.b)] + 0.1 * random()),
    ]),
  );
}

/** What a task gave, and the device it ran on. */
export interface SimulatedRun {
  readonly report: TaskReport;
  readonly device: SimulatedDevice;
}

/** Runs an exhaustive task. */
export async function simulatedTask(plan: SimulationPlan, changes: Partial<TaskContext> = {}): Promise<SimulatedRun> {
  const { device, start } = simulatedWorkers(plan);
  const slot = new WorkerSlot(start);
  const request = { op: "open", device: 0, kernel: "simulated", problem: {}, seed: 1 } as const;
  using journal = Journal.open(":memory:");
  const report = await runTask({
    implementation: IMPLEMENTATION,
    problem: {},
    device: SIMULATED_DEVICE,
    workbench: new Workbench(slot, request),
    coldCache: true,
    identity: simulatedIdentity("simulated"),
    journal,
    strategy: STRATEGIES.exhaustive,
    space: SIMULATED_SPACE,
    seed: 1,
    searchUntil: Infinity,
    raceUntil: Infinity,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...changes,
  });
  await slot.close();
  return { report, device };
}
