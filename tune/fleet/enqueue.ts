/**
 * From a plan to jobs: one for each stale target, in the queue of its kind of device.
 *
 * @module
 */
import type { Plan } from "../plan/plan.ts";
import { targetsOf, typeKey } from "../plan/targets.ts";
import { survey, type SurveyedTarget } from "../schedule/survey.ts";
import { type Fleet, JOB_OPTIONS, PLANS } from "./fleet.ts";
import { jobId, type TuneJob } from "./job.ts";

/** Jobs in one round trip. */
const CHUNK = 1000;

/** What was enqueued. */
export interface Enqueued {
  /** Targets of the plan on the kinds of device that are announced or named. */
  readonly targets: number;
  readonly added: number;
  /** Stale targets whose job was in its queue already. */
  readonly queued: number;
  /** Targets whose stored result holds. */
  readonly fresh: number;
  /** Kinds of device that have a job but no worker. */
  readonly nobodyHas: readonly string[];
}

/**
 * Adds a job for each target of a plan that is stale by what is stored, and lets failed ones try again.
 *
 * @param resultsDir Where results are stored; undefined to take every target for stale.
 */
export async function enqueue(fleet: Fleet, plan: Plan, resultsDir: string | undefined): Promise<Enqueued> {
  const devices = (await fleet.workers()).flatMap(({ devices }) => devices);
  const targets = targetsOf(plan, devices);
  const surveyed = await survey(targets, {
    plan,
    devices,
    ...(resultsDir !== undefined && { resultsDir }),
    attempt: () => undefined,
    date: new Date(),
  });
  const stale = surveyed.filter((one) => one.stale !== undefined);
  let added = 0;
  for (const [kind, group] of Map.groupBy(stale, ({ target }) => typeKey(target.device))) {
    await fleet.addKinds([group[0].target.device]);
    added += await addJobs(fleet, kind, plan, group);
  }
  const present = new Set(devices.map(typeKey));
  const kinds = new Set(stale.map(({ target }) => typeKey(target.device)));
  return {
    targets: targets.length,
    added,
    queued: stale.length - added,
    fresh: targets.length - stale.length,
    nobodyHas: [...kinds].filter((kind) => !present.has(kind)),
  };
}

async function addJobs(fleet: Fleet, kind: string, plan: Plan, group: readonly SurveyedTarget[]): Promise<number> {
  const queue = fleet.queue(kind);
  let added = 0;
  for (let at = 0; at < group.length; at += CHUNK) {
    const jobs = await Promise.all(
      group.slice(at, at + CHUNK).map(async ({ target, now }) => {
        const data: TuneJob = {
          version: 1,
          do: "tune",
          target,
          sourceHash: now.sourceHash,
          search: plan.search,
          budgetSeconds: plan.budget.problem,
        };
        return { name: "tune", data, opts: { ...JOB_OPTIONS, jobId: await jobId(data) } };
      }),
    );
    const ids = jobs.map(({ opts }) => opts.jobId);
    const known = await states(fleet, kind, ids);
    // A failed job is asked for again: its failure is on record.
    const failed = ids.filter((id) => known.get(id) === "failed");
    await Promise.all(failed.map((id) => queue.remove(id)));
    const fresh = jobs.filter(({ opts: { jobId } }) => !known.has(jobId) || known.get(jobId) === "failed");
    await queue.addBulk(fresh);
    added += fresh.length;
  }
  return added;
}

/** Which of these jobs exist, and whether they failed. */
async function states(fleet: Fleet, kind: string, ids: readonly string[]): Promise<Map<string, "failed" | "other">> {
  const pipeline = fleet.redis.pipeline();
  for (const id of ids) {
    pipeline.exists(`${fleet.prefix}:${kind}:${id}`);
    pipeline.zscore(`${fleet.prefix}:${kind}:failed`, id);
  }
  const replies = (await pipeline.exec())!.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
  const found = ids.map((id, i): [string, "failed" | "other" | undefined] => [
    id,
    replies[2 * i] === 0 ? undefined : replies[2 * i + 1] === null ? "other" : "failed",
  ]);
  return new Map(found.filter((entry): entry is [string, "failed" | "other"] => entry[1] !== undefined));
}

/** A recurring plan, as BullMQ's job scheduler hands it to a collector. */
export interface PlanJob {
  readonly version: 1;
  /** The plan's YAML. */
  readonly text: string;
}

/** Has a plan enqueued on a cron schedule, in place of an earlier one of the same name. */
export async function enqueueRecurring(
  fleet: Fleet,
  name: string,
  text: string,
  { cron, timezone }: { cron: string; timezone?: string },
): Promise<Date | undefined> {
  const queue = fleet.queue(PLANS);
  await queue.upsertJobScheduler(
    name,
    { pattern: cron, ...(timezone !== undefined && { tz: timezone }) },
    { name: "plan", data: { version: 1, text } satisfies PlanJob, opts: { removeOnComplete: 20, removeOnFail: 100 } },
  );
  const next = (await queue.getJobScheduler(name))?.next;
  return next === undefined ? undefined : new Date(next);
}
