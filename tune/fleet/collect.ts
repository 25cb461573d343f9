/**
 * Takes what workers found out of the fleet and into a results folder: reads it as a stranger's, has another worker with
 * the same kind of device check it where there is one, and merges it by evidence.
 *
 * All that it has to remember is in Redis, and each step may be done twice: a collector that dies loses and doubles nothing.
 *
 * @module
 */
import { type Job, Worker } from "bullmq";
import { z } from "zod";
import { mergeResults, type Results, resultsPath, writeResults } from "../../results/mod.ts";
import { FailureError, firstLine } from "../errors.ts";
import { parsePlanText } from "../plan/plan.ts";
import { placeOf, targetText } from "../plan/targets.ts";
import type { GracefulStop } from "../schedule/graceful_stop.ts";
import type { Log } from "../schedule/log.ts";
import { enqueue } from "./enqueue.ts";
import { type Announcement, type Fleet, JOB_OPTIONS, PLANS, printable, workersByKind } from "./fleet.ts";
import { type CheckJob, type FleetJob, parseCheckAnswer, parseJob, parseTuneAnswer } from "./job.ts";

/** Finished jobs that are taken at once. */
const BATCH = 500;

/** ms between two looks for finished jobs. */
const LOOK = 500;

/** What a collector did so far. */
export interface Collected {
  /** Results that reached the folder's files: added, or replaced by better evidence. */
  published: number;
  /** Results that were no better than what was stored. */
  kept: number;
  refused: number;
  /** Winners that another worker was asked to check, and those that it found to hold. */
  checks: number;
  confirmed: number;
}

/** What a collector works with. */
export interface CollectOptions {
  readonly fleet: Fleet;
  readonly resultsDir: string;
  /** Have winners checked by another worker with the same kind of device, where there is one. */
  readonly crossCheck: boolean;
  /** Go on until `stop` is asked for, and enqueue recurring plans; otherwise until nothing is left to wait for. */
  readonly follow: boolean;
  readonly stop: GracefulStop;
  readonly log: Log;
}

/** Collects. */
export async function collect(options: CollectOptions): Promise<Collected> {
  const { fleet, follow, stop } = options;
  const collected: Collected = { published: 0, kept: 0, refused: 0, checks: 0, confirmed: 0 };
  await using _plans = follow ? plansWorker(options) : undefined;
  while (!stop.requested) {
    const workers = workersByKind(await fleet.workers());
    let taken = 0;
    for (const kind of (await fleet.kinds()).keys()) {
      if (stop.requested) break;
      taken += await new Batch(kind, workers.get(kind) ?? [], collected, options).take();
    }
    if (taken > 0) continue;
    if (!follow && !await anythingComing(fleet, workers)) break;
    await Promise.race([stop.asked, pause(LOOK)]);
  }
  return collected;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether a job has just ended, or will end since somebody can work on it. */
async function anythingComing(fleet: Fleet, workers: ReadonlyMap<string, unknown>): Promise<boolean> {
  for (const kind of (await fleet.kinds()).keys()) {
    const { active, waiting, delayed, completed } = await fleet.counts(kind);
    if (active + completed > 0 || (workers.has(kind) && waiting + delayed > 0)) return true;
  }
  return false;
}

/** Enqueues recurring plans: who has the results folder knows what is stale. */
function plansWorker({ fleet, resultsDir, log }: CollectOptions): AsyncDisposable {
  const planSchema = z.strictObject({ version: z.literal(1), text: z.string().max(2 ** 20) });
  const worker = new Worker(PLANS, async (job) => {
    const { text } = planSchema.parse(job.data);
    const enqueued = await enqueue(fleet, parsePlanText(text, job.name), resultsDir);
    log("plan enqueued", { ...enqueued });
  }, { connection: fleet.redis, prefix: fleet.prefix });
  worker.on("error", () => {}); // The jobs are still there when Redis is back.
  worker.on("failed", (job, error) => log("plan failed", { job: job?.id, why: firstLine(error) }));
  return { [Symbol.asyncDispose]: () => worker.close() };
}

/** The finished jobs of one kind of device, as many as are taken at once. */
class Batch {
  readonly #publish: { readonly results: Results; readonly about: string }[] = [];
  readonly #done: string[] = [];

  constructor(
    readonly kind: string,
    readonly workers: readonly Announcement[],
    readonly collected: Collected,
    readonly options: CollectOptions,
  ) {}

  /** Takes them; the number of jobs that left the queue. */
  async take(): Promise<number> {
    const { fleet } = this.options;
    const queue = fleet.queue(this.kind);
    const completed = await queue.getJobs(["completed"], 0, BATCH - 1, true);
    for (const job of completed) await this.#one(job);
    // A check that nobody could make leaves the winner unchecked, not lost.
    const failed = await queue.getJobs(["failed"], 0, BATCH - 1, true);
    for (const job of failed) if (job.name === "check") await this.#uncheckable(job);
    await this.#write();
    await Promise.all(this.#done.map((id) => queue.remove(id)));
    if (this.#done.length > 0) await fleet.redis.del(...this.#done.map((id) => fleet.journalKey(id)));
    return this.#done.length;
  }

  async #one(job: Job): Promise<void> {
    const id = String(job.id);
    try {
      const asked = await parseJob(job.data);
      if (asked.do === "tune") {
        const { worker, results } = parseTuneAnswer(asked, job.returnvalue);
        const others = this.workers.filter((other) => other.worker !== worker);
        if (this.options.crossCheck && others.length > 0) await this.#askForCheck(id, { ...asked, worker, results });
        else this.#take(asked, results);
      } else await this.#checked(asked, id, job.returnvalue);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)) throw error;
      await this.#refuse(id, firstLine(error));
    }
    this.#done.push(id);
  }

  #take({ target }: FleetJob, results: Results): void {
    this.#publish.push({ results, about: targetText(target) });
  }

  /** Has another worker measure a winner again; it goes before further searches. */
  async #askForCheck(
    id: string,
    { version, target, sourceHash, search, worker, results }: FleetJob & { worker: string; results: Results },
  ): Promise<void> {
    const data: CheckJob = { version, do: "check", target, sourceHash, search, results, measuredBy: worker };
    const jobId = id.replace(/^tune-/, "check-");
    await this.options.fleet.queue(this.kind).add("check", data, { ...JOB_OPTIONS, jobId, lifo: true });
    this.collected.checks++;
  }

  async #checked(asked: CheckJob, id: string, answer: unknown): Promise<void> {
    const { holds, worker, detail } = parseCheckAnswer(answer);
    const about = targetText(asked.target);
    this.options.log("winner checked", { target: about, measuredBy: asked.measuredBy, by: worker, holds, detail });
    if (holds === false) {
      await this.#refuse(id, `${about}: ${asked.measuredBy} and ${worker} disagree: ${detail}`);
      return;
    }
    if (holds) this.collected.confirmed++;
    this.#take(asked, asked.results);
  }

  async #uncheckable(job: Job): Promise<void> {
    const id = String(job.id);
    try {
      const asked = await parseJob(job.data) as CheckJob;
      this.#take(asked, doubted(asked, `not checked on another device: ${printable(job.failedReason)}`));
    } catch (error) { // The worker's refusal is on record; its data is gone.
      if (!(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)) throw error;
    }
    this.#done.push(id);
  }

  async #refuse(id: string, why: string): Promise<void> {
    await this.options.fleet.refuse({ kind: this.kind, job: id, why: printable(why) });
    this.options.log("refused", { kind: this.kind, job: id, why: printable(why) });
    this.collected.refused++;
  }

  /** Writes each file once, however many of its sizes have come. */
  async #write(): Promise<void> {
    for (const [path, group] of Map.groupBy(this.#publish, ({ results }) => resultsPath(results))) {
      const all = group.map(({ results }) => results);
      const fresh = all.reduce((merged, results) => mergeResults(merged, results).merged);
      try {
        const { added, replaced, kept } = await writeResults(this.options.resultsDir, fresh);
        this.collected.published += added.length + replaced.length;
        this.collected.kept += kept.length;
        this.options.log("results", { path, added: added.length, replaced: replaced.length, kept: kept.length });
      } catch (error) {
        throw new FailureError(firstLine(error));
      }
    }
  }
}

/** The same results with a reason to doubt them. */
function doubted({ target, results }: CheckJob, doubt: string): Results {
  const { size: { smCount, contextLen } } = placeOf(target);
  const evidence = results.evidence[smCount][contextLen];
  const warnings = [...evidence.warnings ?? [], doubt];
  return { ...results, evidence: { [smCount]: { [contextLen]: { ...evidence, warnings } } } };
}
