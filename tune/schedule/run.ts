/**
 * One run of the scheduled job: finds what is stale, tunes that within the run's budget, and publishes what it found.
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { type MergedEntry, type Size, writeResults } from "../../results/mod.ts";
import { type Backends, findDevices } from "../backends.ts";
import { FailureError, firstLine, UsageError } from "../errors.ts";
import { Journal } from "../journal.ts";
import type { Plan } from "../plan/plan.ts";
import { openRequest, selects, targetsOf, typeKey } from "../plan/targets.ts";
import { speedupText } from "../report/format.ts";
import type { SweepRow } from "../sweep.ts";
import { Workbench, WorkerSlot } from "../workbench.ts";
import { claimDeviceInTime } from "./busy.ts";
import { verifyEntry } from "./drift.ts";
import { commitToBranch } from "./git_branch.ts";
import type { GracefulStop } from "./graceful_stop.ts";
import { tryLock } from "./lock.ts";
import type { Log } from "./log.ts";
import { STALE_REASONS } from "./stale.ts";
import { ScheduleState } from "./state.ts";
import { survey, type SurveyedTarget } from "./survey.ts";
import { tuneTargets } from "./tune_targets.ts";

/** The share of a run's budget that its drift checks may take. */
const DRIFT_SHARE = 0.2;

/** How a run ended. */
export type RunOutcome = "nothing stale" | "updated" | "skipped" | "stopped" | "failed";

/** What a run did. */
export interface RunReport {
  readonly outcome: RunOutcome;
  /** Targets of the plan on this host. */
  readonly targets: number;
  /** Stale targets, each with its reason. */
  readonly stale: readonly string[];
  /** What was measured, each with what became of it in the results. */
  readonly tuned: readonly string[];
  readonly failed: readonly string[];
  /** Stale targets that wait for the next run: the budget was spent, the device busy, or a stop came. */
  readonly left: number;
  /** Stored winners that were measured again. */
  readonly verified: number;
  /** The commit with the results, where the plan names a branch and anything changed. */
  readonly commit?: string;
  /** Why it was skipped, stopped or failed as a whole. */
  readonly why?: string;
  readonly seconds: number;
}

/** What a run works with. */
export interface RunContext {
  readonly backends: Backends;
  /** Folder of the results files. */
  readonly resultsDir: string;
  /** Folder of the lock, the history and the journal. */
  readonly stateDir: string;
  readonly stop: GracefulStop;
  readonly log: Log;
}

/** Runs a plan once. What fails is in the report; it throws where its own state cannot be kept. */
export async function scheduledRun(plan: Plan, context: RunContext): Promise<RunReport> {
  const { stateDir, log } = context;
  const started = new Date();
  using lock = tryLock(`${stateDir}/run.lock`);
  if (!lock) {
    const report = { ...EMPTY, outcome: "skipped" as const, why: `another run has ${stateDir}/run.lock`, seconds: 0 };
    log("run skipped", report);
    return report;
  }
  using state = ScheduleState.open(`${stateDir}/schedule.db`);
  const [last] = state.history(1);
  // What an interrupted run measured is in its journal; any other run measures afresh.
  const resumes = last !== undefined && (last.outcome === undefined || last.outcome === "stopped");
  if (!resumes) removeJournal(`${stateDir}/journal.db`);
  const id = state.startRun(started);
  log("run started", { run: id, resumes });
  const run = new Run(plan, context, state, started);
  const report = await run.report();
  state.finishRun(id, report.outcome, report);
  log("run ended", { run: id, ...report });
  return report;
}

const EMPTY = { targets: 0, stale: [], tuned: [], failed: [], left: 0, verified: 0 };

function removeJournal(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.removeSync(path + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** A run while it goes on. */
class Run {
  readonly #deadline: number;
  readonly #stale: SurveyedTarget[] = [];
  readonly #tuned: string[] = [];
  readonly #failed: string[] = [];
  readonly #changed = new Map<string, string[]>();
  #targets = 0;
  #done = 0;
  #verified = 0;
  /** Why stale targets wait, where they do. */
  #waits: string | undefined;
  #commit: string | undefined;

  constructor(
    readonly plan: Plan,
    readonly context: RunContext,
    readonly state: ScheduleState,
    readonly started: Date,
  ) {
    this.#deadline = performance.now() + plan.budget.run * 1000;
  }

  async report(): Promise<RunReport> {
    const begun = performance.now();
    const why = await this.#attempt();
    const { stop } = this.context;
    const outcome = why !== undefined || this.#failed.length > 0
      ? "failed"
      : stop.requested
      ? "stopped"
      : this.#tuned.length > 0
      ? "updated"
      : this.#waits !== undefined
      ? "skipped"
      : "nothing stale";
    const reason = why ?? (stop.requested ? "asked to stop" : this.#waits);
    return {
      outcome,
      targets: this.#targets,
      stale: this.#stale.map(({ text, stale }) => `${text}: ${stale!.detail}`),
      tuned: this.#tuned,
      failed: this.#failed,
      left: this.#stale.length - this.#done,
      verified: this.#verified,
      ...(this.#commit !== undefined && { commit: this.#commit }),
      ...(reason !== undefined && { why: reason }),
      seconds: (performance.now() - begun) / 1000,
    };
  }

  /** Does the run's work; what ended it, where it did not end by itself. */
  async #attempt(): Promise<string | undefined> {
    try {
      try {
        await this.#work();
      } finally {
        await this.#publish();
      }
    } catch (error) {
      if (!(error instanceof FailureError || error instanceof UsageError)) throw error;
      return error.message;
    }
  }

  async #work(): Promise<void> {
    const { plan, context: { resultsDir, stop } } = this;
    const devices = await this.#devices();
    const targets = targetsOf(plan, devices)
      .filter((target) => devices.some((device) => typeKey(device) === typeKey(target.device)));
    this.#targets = targets.length;
    const attempt = (path: string, size: Size) => this.state.attempt(path, size);
    const surveyed = await survey(targets, { plan, devices, resultsDir, attempt, date: this.started });
    for (const [key, group] of Map.groupBy(surveyed, ({ target }) => typeKey(target.device))) {
      if (stop.requested) return;
      await this.#onDevice(group, devices.filter((device) => typeKey(device) === key));
    }
  }

  /** This host's devices of the kinds that the plan names. */
  async #devices(): Promise<DeviceInfo[]> {
    const { plan, context: { backends, log } } = this;
    const selectors = plan.tune.flatMap(({ devices }) => devices);
    const named = selectors.map(({ backend }) => backend);
    const devices: DeviceInfo[] = [];
    for (const [backend, command] of Object.entries(backends)) {
      if (!named.includes(undefined) && !named.includes(backend)) continue;
      const found = await findDevices(backend, command);
      if (found.error !== undefined) log("backend failed", { backend, why: found.error });
      devices.push(...found.devices);
    }
    const matching = devices.filter((device) => selectors.some((selector) => selects(selector, device)));
    if (matching.length > 0) return matching;
    const known = devices.map(({ backend, name, smCount }) => `${name} (${backend}, ${smCount} SMs)`).join(", ");
    throw new FailureError(`Cannot find a device of the plan on this host, which has ${known || "none"}`);
  }

  /** All targets of one kind of device. No device is opened where nothing needs measuring. */
  async #onDevice(surveyed: readonly SurveyedTarget[], devices: readonly DeviceInfo[]): Promise<void> {
    const { plan: { stale: { drift }, busy }, context: { backends, stop, log } } = this;
    const stale = surveyed.filter((one) => one.stale !== undefined);
    this.#stale.push(...stale);
    const doubted = drift === undefined ? [] : surveyed.filter((one) => !one.stale && one.age >= drift.after);
    const [first] = [...stale, ...doubted];
    if (!first) return;
    const patienceSeconds = busy.then === "wait" ? busy.patience : 0;
    const claimed = await claimDeviceInTime(devices, first.target, backends, { patienceSeconds, asked: stop.asked });
    if ("why" in claimed) {
      this.#waits = claimed.why;
      log("device busy", { why: claimed.why });
      return;
    }
    using _lock = claimed.lock;
    const drifted = await this.#drifted(doubted, claimed.device);
    this.#stale.push(...drifted);
    await this.#tune([...stale, ...drifted], claimed.device);
  }

  /** The targets whose stored winners no longer hold, the longest unmeasured first. */
  async #drifted(doubted: readonly SurveyedTarget[], device: DeviceInfo): Promise<SurveyedTarget[]> {
    const { plan: { stale: { drift }, search, budget }, context: { backends, stop, log } } = this;
    const until = performance.now() + DRIFT_SHARE * budget.run * 1000;
    const drifted: SurveyedTarget[] = [];
    const slot = new WorkerSlot(backends[device.backend]);
    const kill = () => slot.kill();
    stop.signal.addEventListener("abort", kill);
    try {
      for (const one of [...doubted].sort((a, b) => b.age - a.age)) {
        if (stop.requested || performance.now() > until) break;
        const { target, text, stored, place, now } = one;
        const workbench = new Workbench(slot, openRequest(target, device, search.seed));
        const verification = await verifyEntry(workbench, stored!, drift!.tolerance);
        if (stop.signal.aborted) break;
        this.#verified++;
        log("winner verified", { target: text, ...verification });
        if (verification.holds) {
          this.state.setAttempt(place.path, place.size, { ...now, date: this.started.toISOString() });
        } else drifted.push({ ...one, stale: { reason: "drift", detail: `drift: ${verification.detail}` } });
      }
    } finally {
      stop.signal.removeEventListener("abort", kill);
      await slot.close();
    }
    return drifted;
  }

  /** Tunes what is stale, the most pressing first, as far as the budget goes. */
  async #tune(stale: readonly SurveyedTarget[], device: DeviceInfo): Promise<void> {
    const urgency = ({ stale }: SurveyedTarget) => STALE_REASONS.indexOf(stale!.reason);
    const sorted = [...stale].sort((a, b) => urgency(a) - urgency(b) || b.age - a.age);
    const { plan: { budget, search }, context: { backends, stateDir, stop, log } } = this;
    if (sorted.length === 0) return;
    using journal = Journal.open(`${stateDir}/journal.db`);
    const sweeps = Map.groupBy(sorted, ({ target: { contextLen: _, ...rest } }) => JSON.stringify(rest)).values();
    const each = Math.min(budget.problem, budget.run);
    for (const group of sweeps) {
      for (const queue = [...group]; queue.length > 0;) {
        if (stop.requested) return;
        const left = (this.#deadline - performance.now()) / 1000;
        // A share of time that is too short finds nothing: rather fewer problems, each with its own budget.
        const affordable = Math.round(left / each);
        if (affordable < 1) {
          this.#waits = "the run's budget is spent";
          return;
        }
        const [first, ...rest] = queue.splice(0, affordable);
        for (const { text, stale } of [first, ...rest]) log("tuning", { target: text, because: stale!.detail });
        const report = await tuneTargets([first.target, ...rest.map(({ target }) => target)], {
          search,
          device: device.index,
          budgetSeconds: Math.min(left, (1 + rest.length) * each),
          backends,
          journal,
          stop,
        });
        for (const [i, row] of report.rows.entries()) await this.#ended([first, ...rest][i], row);
      }
    }
  }

  async #ended(one: SurveyedTarget, row: SweepRow): Promise<void> {
    const { context: { resultsDir, log } } = this;
    const { text, place: { path, size }, now, stale } = one;
    this.#done++;
    if (!row.results) {
      this.#failed.push(`${text}: ${row.error}`);
      log("target failed", { target: text, why: row.error });
      return;
    }
    // What was seen to drift is gone, however fast it once was.
    const outdated = stale!.reason === "drift" ? [size] : [];
    const { added, replaced, kept } = await written(resultsDir, row.results, outdated);
    const [{ why }] = [...added, ...replaced, ...kept];
    const what = added.length > 0 ? "added" : replaced.length > 0 ? "replaced" : "kept";
    const { speedup, speedupInterval } = row.report!.verdict;
    const line = `${text}: ${stale!.detail}; ${what} (${why}), ${speedupText(speedup, speedupInterval)} the baseline`;
    this.#tuned.push(line);
    this.state.setAttempt(path, size, { ...now, date: new Date().toISOString() });
    log("target tuned", { target: text, because: stale!.detail, became: what, why });
    if (what === "kept") return;
    this.#changed.set(path, [...this.#changed.get(path) ?? [], line]);
  }

  async #publish(): Promise<void> {
    const { plan: { publish: { branch } }, context: { resultsDir, log } } = this;
    if (branch === undefined || this.#changed.size === 0) return;
    this.#commit = await commitToBranch({
      folder: resultsDir,
      paths: [...this.#changed.keys()],
      branch,
      message: commitMessage(this.#changed),
    });
    log("results committed", { branch, commit: this.#commit });
  }
}

/** A summary for people: a line for each size that changed, by file. */
function commitMessage(changed: ReadonlyMap<string, readonly string[]>): string {
  const sizes = [...changed.values()].flat().length;
  const head = `Re-tune ${sizes} ${sizes === 1 ? "config" : "configs"} in ${changed.size} ${
    changed.size === 1 ? "file" : "files"
  }`;
  const body = [...changed].map(([path, lines]) => [path, ...lines.map((line) => `- ${line}`)].join("\n"));
  return [head, ...body].join("\n\n");
}

async function written(
  dir: string,
  results: Parameters<typeof writeResults>[1],
  outdated: readonly Size[],
): Promise<Record<"added" | "replaced" | "kept", readonly MergedEntry[]>> {
  try {
    return await writeResults(dir, results, { outdated });
  } catch (error) {
    throw new FailureError(firstLine(error));
  }
}
