/**
 * A sweep: every problem on every SM count, one task after the other, each written to the results as it ends.
 *
 * @module
 */
import type { Clock, DeviceInfo } from "../kernels/devices/device.ts";
import type { Implementation, Kernel } from "../kernels/kernel.ts";
import { kernelNamed } from "../kernels/registry.ts";
import { sha256 } from "../kernels/sha256.ts";
import { narrow } from "../kernels/space.ts";
import { parseResults, type Results, writeResults } from "../results/mod.ts";
import type { Backends } from "./backends.ts";
import { Budget, taskMs } from "./budget.ts";
import { Workbench, WorkerSlot } from "./workbench.ts";
import { FailureError, firstLine, UsageError } from "./errors.ts";
import type { Journal, TaskIdentity } from "./journal.ts";
import { toResults } from "./report/results.ts";
import { STRATEGIES } from "./search/strategies.ts";
import type { SweepSettings } from "./settings.ts";
import { runTask, type TaskProgress, type TaskReport } from "./task.ts";
import { configsOf, lessons, otherTasks, taught } from "./transfer.ts";
import type { OpenReply, OpenRequest } from "./worker/protocol.ts";
import { WorkerFailure } from "./worker/host.ts";

/** The share of a task's time that its final race gets. */
const RACE_SHARE = 0.3;

/** One task of a sweep's plan. */
export interface PlannedTask {
  readonly contextLen: number;
  readonly smCount?: number;
  readonly problem: unknown;
}

/** A task that ended, well or not. */
export interface SweepRow {
  readonly contextLen: number;
  readonly smCount: number;
  readonly report?: TaskReport;
  /** The entry of the results file that this row became, before merging. */
  readonly results?: Results;
  readonly gbps?: number;
  readonly tflops?: number;
  readonly error?: string;
}

/** What a sweep found. */
export interface SweepReport {
  readonly device: DeviceInfo;
  readonly clock: Clock;
  readonly rows: readonly SweepRow[];
  /** Path of the results file, where anything was written. */
  readonly path?: string;
  /** True where the user stopped it. */
  readonly stopped: boolean;
  readonly seconds: number;
}

/** Hears what a sweep does. */
export interface SweepObserver {
  started?(device: DeviceInfo, tasks: readonly PlannedTask[]): void;
  taskStarted?(task: PlannedTask, index: number): void;
  progress?(task: PlannedTask, progress: TaskProgress, secondsLeft: number): void;
  taskEnded?(task: PlannedTask, row: SweepRow): void;
}

/** The tasks of a sweep: SM counts × contexts. */
export function plan(kernel: Kernel<unknown>, settings: SweepSettings): PlannedTask[] {
  const smCounts = settings.smCounts ?? [undefined];
  const defaults = kernel.implementations[settings.backend]?.problemDefaults;
  return smCounts.flatMap((smCount) =>
    settings.contexts.map((contextLen) => ({
      contextLen,
      ...(smCount !== undefined && { smCount }),
      problem: kernel.parseProblem({ ...defaults, ...settings.problem, contextLens: contextLen }),
    }))
  );
}

/**
 * Runs a sweep. What each task finds is in the journal and the results file before the next one starts.
 */
export async function sweep(
  settings: SweepSettings,
  { journal, backends, observer = {}, signal = new AbortController().signal }: {
    journal: Journal;
    backends: Backends;
    observer?: SweepObserver;
    signal?: AbortSignal;
  },
): Promise<SweepReport> {
  const started = performance.now();
  const deadline = started + settings.budgetSeconds * 1000;
  const kernel = kernelNamed(settings.kernel);
  const tasks = asked(() => plan(kernel, settings));
  const slot = new WorkerSlot(backends[settings.backend]);
  const stop = () => slot.kill();
  signal.addEventListener("abort", stop);
  const startFrom = settings.startFrom === undefined ? undefined : earlierResults(settings.startFrom, settings);
  const budget = new Budget({ evaluations: settings.maxEvaluations, compiles: settings.maxCompiles });
  const rows: SweepRow[] = [];
  let path: string | undefined;
  let opened: OpenReply | undefined;
  try {
    for (const [index, task] of tasks.entries()) {
      if (signal.aborted) break;
      const now = performance.now();
      const share = taskMs(index, tasks.length, deadline - now);
      const request: OpenRequest = {
        op: "open",
        device: settings.device,
        ...(task.smCount !== undefined && { smCount: task.smCount }),
        kernel: settings.kernel,
        problem: task.problem,
        seed: settings.seed,
      };
      const workbench = new Workbench(slot, request);
      try {
        const first = opened === undefined;
        opened = await workbench.open();
        if (first) observer.started?.(opened.device, tasks);
        observer.taskStarted?.(task, index);
        const row = await runOne(kernel, settings, task, opened, {
          workbench,
          journal,
          budget,
          ...(startFrom && { startFrom }),
          signal,
          searchUntil: now + share * (1 - RACE_SHARE),
          raceUntil: now + share,
          onProgress: (progress) => observer.progress?.(task, progress, (deadline - performance.now()) / 1000),
        });
        rows.push(row);
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof FailureError || error instanceof WorkerFailure)) throw error;
        if (opened === undefined) throw new FailureError(`Cannot open the device: ${error.message}`);
        const smCount = task.smCount ?? opened.device.smCount;
        rows.push({ contextLen: task.contextLen, smCount, error: firstLine(error) });
      }
      const ended = rows.at(-1)!;
      if (ended.results) path = await written(settings.resultsDir, ended.results);
      observer.taskEnded?.(task, ended);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await slot.close();
  }
  if (!opened) throw new FailureError("Cannot sweep: stopped before the device was open");
  return {
    device: opened.device,
    clock: opened.clock,
    rows,
    ...(path !== undefined && { path }),
    stopped: signal.aborted,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Results to start from: of any device, but configs of another kernel or backend mean nothing here. */
function earlierResults(path: string, { kernel, backend }: Pick<SweepSettings, "kernel" | "backend">): Results {
  let results: Results;
  try {
    results = parseResults(JSON.parse(Deno.readTextFileSync(path)));
  } catch (error) {
    throw new UsageError(`Cannot start from "${path}": ${firstLine(error)}, expected a results file`);
  }
  if (results.kernel !== kernel || results.backend !== backend) {
    throw new UsageError(
      `Cannot start from "${path}": it is of ${results.kernel} on ${results.backend}, expected ${kernel} on ${backend}`,
    );
  }
  return results;
}

async function written(dir: string, results: Results): Promise<string> {
  try {
    return (await writeResults(dir, results)).path;
  } catch (error) {
    throw new FailureError(firstLine(error));
  }
}

/** What the user asked for may not exist: that is an error of use. */
function asked<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

async function runOne(
  kernel: Kernel<unknown>,
  settings: SweepSettings,
  task: PlannedTask,
  { device, clock, ahead = 0 }: OpenReply,
  run: {
    workbench: Workbench;
    journal: Journal;
    budget: Budget;
    startFrom?: Results;
    signal: AbortSignal;
    searchUntil: number;
    raceUntil: number;
    onProgress: (progress: TaskProgress) => void;
  },
): Promise<SweepRow> {
  const implementation = kernel.implementations[device.backend];
  if (!implementation) throw new FailureError(`Cannot sweep ${kernel.name} on ${device.backend}: not implemented`);
  const { problem, contextLen } = task;
  const whole = implementation.space(problem, device, { maxWorkspaceBytes: settings.maxWorkspaceBytes });
  const space = asked(() => narrow(whole, settings.only ?? {}));
  const identity = await taskIdentity(kernel, problem, device, settings);
  const given = run.startFrom && configsOf(run.startFrom, device.smCount, contextLen);
  const others = await otherTasks(run.journal, identity);
  const report = await runTask({
    ...run,
    implementation,
    problem,
    device,
    identity,
    space,
    lessons: lessons(run.journal, others, space, given),
    taught: taught(run.journal, others, space),
    ahead,
    strategy: STRATEGIES[settings.strategy],
    seed: settings.seed,
    coldCache: settings.coldCache,
  });
  const work = kernel.work(problem);
  const gbps = work.bytes / report.verdict.us / 1e3;
  const tflops = work.flops / report.verdict.us / 1e6;
  const results = toResults({
    kernel,
    problem,
    device,
    clock,
    settings,
    identity,
    verdict: report.verdict,
    gbps,
    tflops,
  });
  return { contextLen, smCount: device.smCount, report, results, gbps, tflops };
}

/** What the rows of a task belong to. */
export async function taskIdentity(
  kernel: Kernel<unknown>,
  problem: unknown,
  { backend, name, arch, driver, smCount }: DeviceInfo,
  { seed, coldCache }: Pick<SweepSettings, "seed" | "coldCache">,
): Promise<TaskIdentity> {
  return {
    kernel: kernel.name,
    sourceHash: await sourceHash(kernel.implementations[backend]!),
    backend,
    device: { name, arch, driver, smCount },
    problem,
    seed,
    coldCache,
  };
}

const sourceHashes = new WeakMap<Implementation<unknown>, Promise<string>>();

/** One hash for all sources of an implementation, whatever their order in the list. Computed once: many tasks and jobs ask. */
export function sourceHash(implementation: Implementation<unknown>): Promise<string> {
  const known = sourceHashes.get(implementation) ?? sha256([...implementation.sources()].sort().join("\0"));
  sourceHashes.set(implementation, known);
  return known;
}
