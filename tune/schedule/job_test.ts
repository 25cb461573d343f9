import { match, ok, strictEqual, throws } from "node:assert";
import { inFolder, simulatedCommand } from "../testing/command.ts";
import { GracefulStop } from "./graceful_stop.ts";
import { checkTimetable, scheduledJob } from "./job.ts";
import { jsonLines } from "./log.ts";
import type { RunReport } from "./run.ts";

const UPDATED: RunReport = {
  outcome: "updated",
  targets: 3,
  stale: ["a", "b"],
  tuned: ["a"],
  failed: [],
  left: 1,
  verified: 0,
  seconds: 2.5,
};

/** Every second. */
const OFTEN = { cron: "* * * * * *" };

Deno.test("checkTimetable() names a cron expression, a time zone or a moment that cannot be", () => {
  checkTimetable({ cron: "0 3 * * 0", timezone: "Europe/Berlin" });
  throws(() => checkTimetable({ cron: "soon" }), /Cannot schedule --cron "soon": .*expected for example "0 3 \* \* 0"/);
  throws(() => checkTimetable({ cron: "0 3 * * 0", timezone: "Mars" }), /in time zone "Mars"/);
  throws(() => checkTimetable({ cron: "0 0 30 2 *" }), /it names no moment to come/);
});

Deno.test("scheduledJob() runs, answers /healthz and /metrics, and waits for its run when it is asked to stop", async () => {
  using stop = new GracefulStop();
  const listening = Promise.withResolvers<string>();
  const began = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<RunReport>();
  const events: string[] = [];
  let runs = 0;
  const job = scheduledJob({
    timetable: OFTEN,
    listen: { hostname: "127.0.0.1", port: 0 },
    runOnce: () => {
      if (++runs === 1) return Promise.resolve(UPDATED);
      began.resolve();
      return goOn.promise;
    },
    stop,
    log(event, facts) {
      events.push(event);
      if (event === "listening") listening.resolve(String(facts!.url));
    },
  });
  const url = new URL(await listening.promise);
  await began.promise;
  const health = await fetch(url);
  strictEqual(health.status, 200);
  const { running, last } = await health.json();
  strictEqual(running, true);
  strictEqual(last.outcome, "updated");
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  for (
    const line of [
      'kvtune_runs_total{outcome="updated"} 1',
      'kvtune_runs_total{outcome="failed"} 0',
      "kvtune_tuned_total 1",
      "kvtune_stale_targets 1",
      "kvtune_run_in_progress 1",
      "kvtune_last_run_duration_seconds 2.5",
    ]
  ) ok(metrics.split("\n").includes(line), `${line} in ${metrics}`);
  strictEqual(await fetch(new URL("/x", url)).then((answer) => (answer.body?.cancel(), answer.status)), 404);
  stop.request();
  const stopping = await fetch(url);
  strictEqual(stopping.status, 503);
  await stopping.body?.cancel();
  ok(!events.includes("stopped"));
  goOn.resolve(UPDATED);
  await job;
  strictEqual(events.at(-1), "stopped");
  strictEqual(runs, 2);
});

Deno.test("scheduledJob() outlives a run that throws", async () => {
  using stop = new GracefulStop();
  const whys: unknown[] = [];
  await scheduledJob({
    timetable: OFTEN,
    runOnce() {
      if (whys.length > 0) stop.request();
      return Promise.reject(new Error("the plan is broken"));
    },
    stop,
    log: (event, facts) => event === "run failed" && whys.push(facts!.why),
  });
  ok(whys.length >= 1 && whys[0] === "the plan is broken");
});

Deno.test("jsonLines() gives one JSON document a line, with a time", () => {
  const written: string[] = [];
  jsonLines((line) => written.push(line))("tuned", { text: "a\nb" });
  strictEqual(written.length, 1);
  const { time, event, text } = JSON.parse(written[0]);
  ok(!written[0].includes("\n") && !Number.isNaN(Date.parse(time)));
  strictEqual(`${event} ${text}`, "tuned a\nb");
});

/** Reads a process's lines until one matches. */
async function lineMatching(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  let text = "";
  const reader = stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  while (!pattern.test(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`expected ${pattern}, the process ended with ${text}`);
    text += value;
  }
  await reader.cancel();
  return text;
}

Deno.test(
  "schedule --cron stays until SIGTERM, says that it needs nothing but this host, and exits 0",
  inFolder(async (folder) => {
    const plan = new URL("../plan/example.yaml", import.meta.url).pathname;
    const args = ["schedule", "--cron", "0 3 1 1 *", "--timezone", "UTC", "--plan", plan, "--state", folder];
    const child = simulatedCommand(args).spawn();
    const [out, errors] = child.stdout.tee();
    const text = await lineMatching(out, /"event":"next run"/);
    match(text, /"mode":"one host: no Redis, SQLite journal, one process tree"/);
    match(text, /"at":"\d{4}-01-01T03:00:00\.000Z"/);
    child.kill("SIGTERM");
    await errors.cancel();
    await child.stderr.cancel();
    strictEqual((await child.status).code, 0);
  }),
);
