/**
 * How a fleet stands: who is there, what waits for whom and why, and what was refused.
 *
 * @module
 */
import { tableText } from "../report/table.ts";
import { type Fleet, PLANS, printable, type Refusal, workersByKind } from "./fleet.ts";

/** Refusals and failures that are shown. */
const SHOWN = 10;

/** One kind of device. */
export interface KindStatus {
  readonly kind: string;
  readonly workers: readonly string[];
  readonly waiting: number;
  readonly active: number;
  /** Waiting for a retry, or for another worker. */
  readonly delayed: number;
  /** Done, and not collected yet. */
  readonly finished: number;
  readonly failed: number;
  /** Why jobs wait, where nobody works on them. */
  readonly why?: string;
}

/** How a fleet stands. */
export interface FleetStatus {
  readonly kinds: readonly KindStatus[];
  readonly workers: readonly { readonly worker: string; readonly host: string; readonly devices: readonly string[] }[];
  readonly failures: readonly { readonly kind: string; readonly job: string; readonly why: string }[];
  readonly refusals: readonly Refusal[];
  readonly recurring: readonly { readonly name: string; readonly cron: string; readonly next: string }[];
}

/** Asks a fleet how it stands. */
export async function fleetStatus(fleet: Fleet): Promise<FleetStatus> {
  const workers = await fleet.workers();
  const byKind = workersByKind(workers);
  const kinds: KindStatus[] = [];
  const failures: FleetStatus["failures"][number][] = [];
  for (const [kind, { backend, name, smCount }] of await fleet.kinds()) {
    const { waiting, active, delayed, completed, failed } = await fleet.counts(kind);
    const present = (byKind.get(kind) ?? []).map(({ worker }) => worker);
    const alone = waiting + delayed > 0 && present.length === 0;
    kinds.push({
      kind,
      workers: present,
      waiting,
      active,
      delayed,
      finished: completed,
      failed,
      ...(alone && { why: `no worker has announced a ${name} with ${smCount} SMs (${backend})` }),
    });
    if (failed === 0 || failures.length >= SHOWN) continue;
    for (const job of await fleet.queue(kind).getJobs(["failed"], 0, SHOWN - 1, false)) {
      failures.push({ kind, job: String(job.id), why: printable(job.failedReason) });
    }
  }
  const schedulers = await fleet.queue(PLANS).getJobSchedulers(0, 99, true);
  return {
    kinds,
    workers: workers.map(({ worker, host, devices }) => ({ worker, host, devices: devices.map(({ name }) => name) })),
    failures: failures.slice(0, SHOWN),
    refusals: await fleet.refusals(SHOWN),
    recurring: schedulers.map(({ key, pattern = "", next }) => ({
      name: key,
      cron: pattern,
      next: next === undefined ? "" : new Date(next).toISOString(),
    })),
  };
}

/** The status for people. */
export function statusText({ kinds, workers, failures, refusals, recurring }: FleetStatus): string {
  const numbers = { right: true };
  const lines = [
    `${workers.length} ${workers.length === 1 ? "worker" : "workers"}`,
    tableText(
      ["device", "workers", "waiting", "active", "delayed", "finished", "failed"],
      kinds.map(({ kind, workers, waiting, active, delayed, finished, failed }) => [
        kind,
        ...[workers.length, waiting, active, delayed, finished, failed].map(String),
      ]),
      { workers: numbers, waiting: numbers, active: numbers, delayed: numbers, finished: numbers, failed: numbers },
    ),
  ];
  for (const { kind, waiting, delayed, why } of kinds) {
    if (why) lines.push(`${kind}: ${waiting + delayed} wait: ${why}`);
  }
  for (const { kind, job, why } of failures) lines.push(`Failed: ${kind} ${job}: ${why}`);
  for (const { date, kind, job, why } of refusals) lines.push(`Refused at ${date}: ${kind} ${job}: ${why}`);
  for (const { name, cron, next } of recurring) lines.push(`Recurring: ${name} (${cron}), next at ${next}`);
  return lines.join("\n");
}
