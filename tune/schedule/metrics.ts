/**
 * What the scheduled job tells of itself over HTTP: `/healthz` for probes, `/metrics` for Prometheus.
 *
 * @module
 */
import { Counter, Gauge, Registry } from "prom-client";
import type { RunOutcome, RunReport } from "./run.ts";

const OUTCOMES: readonly RunOutcome[] = ["nothing stale", "updated", "skipped", "stopped", "failed"];

/** The numbers of one scheduled job. */
export class ScheduleMetrics {
  readonly registry = new Registry();
  readonly #runs = this.#counter("kvtune_runs_total", "Runs that ended, by outcome", ["outcome"]);
  readonly #tuned = this.#counter("kvtune_tuned_total", "Targets that were tuned");
  readonly #failed = this.#counter("kvtune_failed_total", "Targets that could not be tuned");
  readonly #running = this.#gauge("kvtune_run_in_progress", "1 while a run goes on");
  readonly #seconds = this.#gauge("kvtune_last_run_duration_seconds", "Duration of the last run");
  readonly #ended = this.#gauge("kvtune_last_run_timestamp_seconds", "When the last run ended, Unix time");
  readonly #good = this.#gauge("kvtune_last_success_timestamp_seconds", "When the last run ended well, Unix time");
  readonly #left = this.#gauge("kvtune_stale_targets", "Targets that the last run left stale");
  readonly #next = this.#gauge("kvtune_next_run_timestamp_seconds", "When the next run starts, Unix time");

  constructor() {
    for (const outcome of OUTCOMES) this.#runs.inc({ outcome }, 0);
  }

  started(): void {
    this.#running.set(1);
  }

  ended(report: RunReport): void {
    const now = Date.now() / 1000;
    this.#running.set(0);
    this.#runs.inc({ outcome: report.outcome });
    this.#tuned.inc(report.tuned.length);
    this.#failed.inc(report.failed.length);
    this.#seconds.set(report.seconds);
    this.#left.set(report.left);
    this.#ended.set(now);
    if (report.outcome === "updated" || report.outcome === "nothing stale") this.#good.set(now);
  }

  next(at: Date): void {
    this.#next.set(at.getTime() / 1000);
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }
}

/** Answers `/healthz` (200, or 503 once the job is stopping) and `/metrics`. */
export function statusHandler(
  metrics: ScheduleMetrics,
  health: () => { readonly ok: boolean } & Readonly<Record<string, unknown>>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") {
      const status = health();
      return Response.json(status, { status: status.ok ? 200 : 503 });
    }
    if (pathname === "/metrics") {
      const headers = { "content-type": metrics.registry.contentType };
      return new Response(await metrics.registry.metrics(), { headers });
    }
    return new Response("Not found, expected /healthz or /metrics\n", { status: 404 });
  };
}
