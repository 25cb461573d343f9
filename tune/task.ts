/**
 * One task: the search over one problem on one device, and the race of its finalists against the baseline.
 *
 * @module
 */
import { brokenConstraint, type Config, configKey, type Constraint, type Space } from "../kernels/space.ts";
import { Budget, Settled } from "./budget.ts";
import { type CandidateContext, failedRow, measureCandidate, retried, SAMPLE_US, tryBaseline } from "./candidate.ts";
import type { CandidateRow, Journal, TaskIdentity } from "./journal.ts";
import { taskKey } from "./journal.ts";
import { finalistsOf } from "./measure/finalists.ts";
import { race, type Verdict } from "./measure/race.ts";
import { Effort } from "./effort.ts";
import type { Hints, Strategy, StrategyFactory } from "./search/strategy.ts";
import type { TaughtTask } from "./transfer.ts";

/** What a task works with. */
export interface TaskContext extends CandidateContext {
  readonly identity: TaskIdentity;
  readonly journal: Journal;
  readonly strategy: StrategyFactory;
  readonly space: Space;
  readonly seed: number;
  /** Configs that were good elsewhere, the most promising first. */
  readonly lessons?: readonly Config[];
  /** What the nearest task measured. */
  readonly taught?: TaughtTask | undefined;
  /** Candidates that may compile while one is measured; none where absent. */
  readonly ahead?: number;
  /** Evaluations and compiles that the sweep has left; unbounded where absent. */
  readonly budget?: Budget;
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
  const search = new Search(context, key, baseline, rows);
  await search.prepare(baseline); // The first candidates compile while the baseline is measured.
  const tested = await tryBaseline(context, baseline);
  const exhausted = await search.run();
  context.signal.throwIfAborted();

  const finalists = finalistsOf([...rows.values()].filter((row) => configKey(row.config) !== configKey(baseline)));
  const known = journal.verdict(key) as { rows: number; verdict: Verdict } | undefined;
  if (known?.rows === rows.size) return { verdict: known.verdict, candidates: rows, exhausted };

  context.onProgress({ stage: "race", done: rows.size, best: bestOf(rows) });
  const verdict = await race({
    baseline: { config: baseline, ...tested, workspaceBytes: implementation.workspaceBytes(problem, baseline, device) },
    finalists,
    time: (configs, samples, rested) =>
      retried(() =>
        context.workbench.time(configs, { samples, sampleUs: 2 * SAMPLE_US, coldCache: context.coldCache, rested })
      ),
    check: async (config) => (await retried(() => context.workbench.try(config))).check,
    until: context.raceUntil,
    signal: context.signal,
  });
  context.signal.throwIfAborted();
  journal.setVerdict(key, identity, { rows: rows.size, verdict });
  return { verdict, candidates: rows, exhausted };
}

/** A config that the strategy wants measured. */
interface Asked {
  readonly config: Config;
  /** The constraint that it breaks, where it does. */
  readonly broken: Constraint | undefined;
  readonly fresh: boolean;
  readonly compiles: number;
}

/** The strategy's proposals, measured one by one while others compile. */
class Search {
  readonly #strategy: Strategy;
  readonly #effort: Effort;
  /** Proposed and not yet measured, the oldest first. */
  readonly #queue: Asked[] = [];
  readonly #ahead: number;

  /** @param rows Of candidates that were measured before; new ones are added. */
  constructor(
    readonly context: TaskContext,
    readonly key: string,
    readonly baseline: Config,
    readonly rows: Map<string, CandidateRow>,
  ) {
    this.#effort = effortOf(context);
    this.#strategy = context.strategy(context.space, context.seed, hintsOf(context, this.#effort));
    this.#ahead = context.ahead ?? 0;
    for (const { config, cost } of rows.values()) this.#strategy.tell({ config, cost });
  }

  /** Asks the strategy until it has no more, the budget is spent or the sweep is stopped. True where it has no more. */
  async run(): Promise<boolean> {
    const { context, rows } = this;
    const { journal, identity, signal, searchUntil, budget = new Budget() } = context;
    const settled = new Settled();
    while (!signal.aborted) {
      this.#propose();
      if (this.#queue.length === 0) return true;
      const timeUp = performance.now() > searchUntil;
      // Where the baseline alone took the time, what a neighbour found best is still worth a try.
      if ((timeUp && rows.size > 0) || budget.spent || settled.after(this.#strategy.gain)) return false;
      const at = timeUp ? 0 : await this.prepare();
      const [{ config, broken, fresh, compiles }] = this.#queue.splice(at, 1);
      const measured = broken
        ? failedRow(context, config, "constraint", `${broken.name}: ${broken.reason}`)
        : measureCandidate(context, config, this.baseline, bestOf(rows)?.speedup);
      if (this.#ahead > 0) this.#propose(); // The strategy thinks while the device measures.
      const row = await measured;
      if (signal.aborted) return false; // The row may tell of the interruption, not of the candidate.
      budget.note(compiles);
      this.#effort.spent(row.spentMs, fresh);
      journal.addCandidate(this.key, identity, row);
      rows.set(configKey(config), row);
      this.#strategy.tell({ config, cost: row.cost });
      const { total } = this.#strategy;
      const left = total === undefined ? undefined : Math.max(0, total - rows.size);
      context.onProgress({ stage: "search", done: rows.size, left, best: bestOf(rows), last: row });
    }
    return false;
  }

  /**
   * Starts to compile what is proposed, behind `first`, where the worker can.
   *
   * @returns The place of the first proposal that needs not wait for that: the device measures it while others compile.
   */
  async prepare(...first: Config[]): Promise<number> {
    if (this.#ahead === 0) return 0;
    this.#propose();
    const possible = this.#queue.filter(({ broken }) => !broken);
    const ready = await this.context.workbench.prepare([...first, ...possible.map(({ config }) => config)]);
    const next = this.#queue.findIndex((one) => one.broken || ready[first.length + possible.indexOf(one)]);
    return Math.max(0, next);
  }

  #propose(): void {
    while (this.#queue.length <= this.#ahead) {
      const config = this.#strategy.ask();
      if (!config) break;
      const broken = brokenConstraint(this.context.space, config);
      const fresh = this.#effort.of(config) > 1;
      this.#queue.push({ config, broken, fresh, compiles: this.#effort.compile(config) });
    }
  }
}

function effortOf({ space, implementation, problem, device }: TaskContext): Effort {
  return new Effort(space, (config) => implementation.program(problem, config, device));
}

function hintsOf({ lessons, taught, implementation, problem, device }: TaskContext, effort: Effort): Hints {
  const { estimateUs } = implementation;
  const modelOf = (of: unknown, smCount: number) =>
    estimateUs && ((config: Config) => estimateUs(of, config, { ...device, smCount }));
  return {
    ...(lessons && { configs: lessons }),
    model: modelOf(problem, device.smCount),
    taught: taught && { rows: taught.rows, model: modelOf(taught.problem, taught.smCount) },
    effort: (config) => effort.of(config),
  };
}

function bestOf(rows: ReadonlyMap<string, CandidateRow>): TaskProgress["best"] {
  let best: CandidateRow | undefined;
  for (const row of rows.values()) {
    if (row.cost !== undefined && !(row.cost >= (best?.cost ?? Infinity))) best = row;
  }
  return best && { config: best.config, speedup: 1 / best.cost! };
}
