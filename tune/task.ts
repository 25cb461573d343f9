/**
 * One task: the search over one problem on one device, and the race of its finalists against the baseline.
 *
 * @module
 */
import type { DeviceInfo, TimeOptions } from "../kernels/devices/device.ts";
import type { Implementation } from "../kernels/kernel.ts";
import { brokenConstraint, type Config, configKey, type Space } from "../kernels/space.ts";
import type { Workbench } from "./workbench.ts";
import { FailureError } from "./errors.ts";
import type { CandidateRow, Journal, TaskIdentity } from "./journal.ts";
import { taskKey } from "./journal.ts";
import { median } from "./measure/statistics.ts";
import { race, type Verdict } from "./measure/race.ts";
import type { StrategyFactory } from "./search/strategy.ts";
import { WorkerFailure } from "./worker/host.ts";

/** Rounds in which a candidate is timed beside the baseline during the search. */
const ROUNDS = 5;

/** A candidate whose first round is this many times slower than the best so far gets no further round. */
const HOPELESS = 1.5;

/** Candidates that race for the verdict. */
const FINALISTS = 4;

/** Samples of the search: long enough to resolve a microsecond's kernel, short enough for hundreds of candidates. */
const SAMPLE_US = 1000;

/** What a task works with. */
export interface TaskContext {
  readonly implementation: Implementation<unknown>;
  readonly problem: unknown;
  readonly device: DeviceInfo;
  readonly identity: TaskIdentity;
  readonly workbench: Workbench;
  readonly journal: Journal;
  readonly strategy: StrategyFactory;
  readonly space: Space;
  readonly seed: number;
  readonly coldCache: boolean;
  /** When the search ends and when the race must end, in ms of `performance.now()`. */
  readonly searchUntil: number;
  readonly raceUntil: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: TaskProgress) => void;
}

/** Where a task stands. */
export interface TaskProgress {
  readonly stage: "search" | "race";
  readonly done: number;
  /** Candidates left, where the strategy knows. */
  readonly left?: number;
  /** The best candidate so far and how many times faster than the baseline it looks. */
  readonly best?: { readonly config: Config; readonly speedup: number };
  readonly last?: CandidateRow;
}

/** What a task found. */
export interface TaskReport {
  readonly verdict: Verdict;
  /** Candidates with a row in the journal. */
  readonly candidates: ReadonlyMap<string, CandidateRow>;
  /** True where the strategy had nothing left to propose. */
  readonly exhausted: boolean;
}

/** Searches, races and records. Throws {@linkcode FailureError} where the baseline cannot be measured. */
export async function runTask(context: TaskContext): Promise<TaskReport> {
  const { journal, identity, implementation, problem, device } = context;
  const key = await taskKey(identity);
  const baseline = implementation.baseline(problem, device);
  const rows = journal.candidates(key);
  const tested = await tryBaseline(context, baseline);
  const exhausted = await search(context, key, baseline, rows);
  context.signal.throwIfAborted();

  const finalists = [...rows.values()]
    .filter((row) => row.cost !== undefined && configKey(row.config) !== configKey(baseline))
    .sort((a, b) => a.cost! - b.cost!)
    .slice(0, FINALISTS);
  const known = journal.verdict(key) as { rows: number; verdict: Verdict } | undefined;
  if (known?.rows === rows.size) return { verdict: known.verdict, candidates: rows, exhausted };

  context.onProgress({ stage: "race", done: rows.size, best: bestOf(rows) });
  const verdict = await race({
    baseline: { config: baseline, ...tested, workspaceBytes: implementation.workspaceBytes(problem, baseline, device) },
    finalists,
    time: (configs, rounds) =>
      context.workbench.time(configs, { samples: rounds, sampleUs: 2 * SAMPLE_US, coldCache: context.coldCache }),
    until: context.raceUntil,
    signal: context.signal,
  });
  context.signal.throwIfAborted();
  journal.setVerdict(key, identity, { rows: rows.size, verdict });
  return { verdict, candidates: rows, exhausted };
}

/** Checks the baseline; a sweep without one has nothing to compare with. */
async function tryBaseline({ workbench }: TaskContext, baseline: Config) {
  const failed = (why: string) => new FailureError(`Cannot measure the baseline (${configKey(baseline)}): ${why}`);
  try {
    const { check } = await retried(() => workbench.try(baseline));
    if (!check.ok) throw failed(check.why ?? `relative error ${check.relError}`);
    return { relError: check.relError, errors: check.errors };
  } catch (error) {
    if (error instanceof WorkerFailure) throw failed(error.message);
    throw error;
  }
}

/** Asks the strategy until it has no more, time is up or the sweep is stopped. True where it has no more. */
async function search(
  context: TaskContext,
  key: string,
  baseline: Config,
  rows: Map<string, CandidateRow>,
): Promise<boolean> {
  const { journal, identity, space, signal } = context;
  const strategy = context.strategy(space, context.seed);
  while (!signal.aborted) {
    const config = strategy.ask();
    if (!config) return true;
    const configName = configKey(config);
    let row = rows.get(configName);
    if (!row) {
      if (performance.now() > context.searchUntil) return false;
      const broken = brokenConstraint(space, config);
      row = broken
        ? failedRow(context, config, "constraint", `${broken.name}: ${broken.reason}`)
        : await measure(context, config, baseline, bestOf(rows)?.speedup);
      if (signal.aborted) return false; // The row may tell of the interruption, not of the candidate.
      journal.addCandidate(key, identity, row);
      rows.set(configName, row);
    }
    strategy.tell({ config, cost: row.cost });
    const left = strategy.total === undefined ? undefined : Math.max(0, strategy.total - rows.size);
    context.onProgress({ stage: "search", done: rows.size, left, best: bestOf(rows), last: row });
  }
  return false;
}

/** Compiles, checks and times one candidate, interleaved with the baseline. */
async function measure(
  context: TaskContext,
  config: Config,
  baseline: Config,
  bestSpeedup = 0,
): Promise<CandidateRow> {
  const { workbench, implementation, problem, device } = context;
  const started = performance.now();
  const options: TimeOptions = { samples: 1, sampleUs: SAMPLE_US, coldCache: context.coldCache };
  const spent = () => ({ spentMs: performance.now() - started });
  try {
    const { check, compileMs, build } = await retried(() => workbench.try(config));
    const facts = {
      config,
      relError: check.relError,
      errors: check.errors,
      compileMs,
      build,
      workspaceBytes: implementation.workspaceBytes(problem, config, device),
    };
    if (!check.ok) {
      await workbench.drop(config);
      return { ...facts, outcome: "wrong", message: check.why, samples: [], baselineSamples: [], ...spent() };
    }
    const timed = async (rounds: number) =>
      (await retried(() => workbench.time([baseline, config], { ...options, samples: rounds }))).samples;
    let [baselineSamples, samples] = await timed(1);
    if (samples[0] * bestSpeedup <= HOPELESS * baselineSamples[0]) {
      const more = await timed(ROUNDS - 1);
      [baselineSamples, samples] = [[...baselineSamples, ...more[0]], [...samples, ...more[1]]];
    }
    await workbench.drop(config);
    const cost = median(samples) / median(baselineSamples);
    return { ...facts, outcome: "ok", cost, samples, baselineSamples, ...spent() };
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
    return { ...failedRow(context, config, error.outcome, error.message), ...spent() };
  }
}

function failedRow(
  { implementation, problem, device }: TaskContext,
  config: Config,
  outcome: CandidateRow["outcome"],
  message: string,
): CandidateRow {
  const workspaceBytes = implementation.workspaceBytes(problem, config, device);
  return {
    config,
    outcome,
    message,
    samples: [],
    baselineSamples: [],
    errors: {},
    build: {},
    workspaceBytes,
    spentMs: 0,
  };
}

/** A worker may die of something else than its candidate: a crash counts when it happens twice. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WorkerFailure && error.outcome === "crash") return await work();
    throw error;
  }
}

function bestOf(rows: ReadonlyMap<string, CandidateRow>): TaskProgress["best"] {
  let best: CandidateRow | undefined;
  for (const row of rows.values()) {
    if (row.cost !== undefined && !(row.cost >= (best?.cost ?? Infinity))) best = row;
  }
  return best && { config: best.config, speedup: 1 / best.cost! };
}
