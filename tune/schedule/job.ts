/**
 * The long-running job: runs a plan on a cron schedule, one run at a time, until it is asked to stop.
 *
 * @module
 */
import { Cron } from "croner";
import { firstLine, UsageError } from "../errors.ts";
import type { GracefulStop } from "./graceful_stop.ts";
import type { Log } from "./log.ts";
import { ScheduleMetrics, statusHandler } from "./metrics.ts";
import type { RunReport } from "./run.ts";

/** When a job runs. */
export interface Timetable {
  /** A cron expression of five fields, or six with seconds. */
  readonly cron: string;
  /** An IANA name such as Europe/Berlin; absent: the host's. */
  readonly timezone?: string;
}

/** Where a job answers HTTP. */
export interface Listen {
  readonly hostname: string;
  readonly port: number;
}

/**
 * Checks a timetable.
 *
 * @throws {UsageError} Where the expression or the time zone is none, or names no moment to come.
 */
export function checkTimetable({ cron, timezone }: Timetable): void {
  let next: Date | null;
  try {
    next = new Cron(cron, { paused: true, ...(timezone !== undefined && { timezone }) }).nextRun();
  } catch (error) {
    const zone = timezone === undefined ? "" : ` in time zone "${timezone}"`;
    throw new UsageError(
      `Cannot schedule --cron "${cron}"${zone}: ${
        firstLine(error)
      }, expected for example "0 3 * * 0" and Europe/Berlin`,
    );
  }
  if (!next) throw new UsageError(`Cannot schedule --cron "${cron}": it names no moment to come`);
}

/** Runs until `stop` is asked for and the run in progress has ended. */
export async function scheduledJob(
  { timetable, listen, runOnce, stop, log }: {
    timetable: Timetable;
    listen?: Listen;
    /** Reads the plan and runs it: edits of the plan hold from the next run on. */
    runOnce: () => Promise<RunReport>;
    stop: GracefulStop;
    log: Log;
  },
): Promise<void> {
  const metrics = new ScheduleMetrics();
  let running: Promise<void> | undefined;
  let last: RunReport | undefined;
  const run = async () => {
    metrics.started();
    try {
      last = await runOnce();
    } catch (error) {
      // The job outlives a run that cannot even begin, such as one whose plan was broken by an edit.
      last = { ...FAILED, why: firstLine(error) };
      log("run failed", { why: last.why });
    }
    metrics.ended(last);
    announceNext();
  };
  const { cron, timezone } = timetable;
  const job = new Cron(cron, { protect: true, ...(timezone !== undefined && { timezone }) }, async () => {
    running = run();
    await running;
    running = undefined;
  });
  const announceNext = () => {
    const next = job.nextRun();
    if (!next) return;
    metrics.next(next);
    log("next run", { at: next.toISOString() });
  };
  const health = () => ({
    ok: !stop.requested,
    running: running !== undefined,
    next: job.nextRun()?.toISOString() ?? null,
    last: last ? { outcome: last.outcome, why: last.why ?? null } : null,
  });
  await using _server = listen && serveStatus(listen, statusHandler(metrics, health), log);
  announceNext();
  await stop.asked;
  job.stop();
  log("stopping", { running: running !== undefined });
  await running;
  log("stopped");
}

const FAILED: RunReport = {
  outcome: "failed",
  targets: 0,
  stale: [],
  tuned: [],
  failed: [],
  left: 0,
  verified: 0,
  seconds: 0,
};

function serveStatus(
  { hostname, port }: Listen,
  handler: (request: Request) => Promise<Response>,
  log: Log,
): AsyncDisposable {
  const host = `${hostname}:${port}`;
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") {
    throw new UsageError(
      `Cannot serve --healthz ${host} without the permission to: expected "deno task schedule", which has it`,
    );
  }
  try {
    const onListen = ({ port }: Deno.NetAddr) => log("listening", { url: `http://${hostname}:${port}/healthz` });
    const server = Deno.serve({ hostname, port, onListen }, handler);
    return { [Symbol.asyncDispose]: () => server.shutdown() };
  } catch (error) {
    throw new UsageError(`Cannot serve --healthz ${host}: ${firstLine(error)}, expected a free port`);
  }
}
