/** `tune schedule`: re-tunes what has gone stale, by a plan. */
import { Command, Option } from "@commander-js/extra-typings";
import { InvalidArgumentError } from "commander";
import { dirname, resolve } from "node:path";
import type { Backends } from "../backends.ts";
import { UsageError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import { tableText } from "../report/table.ts";
import { EMIT_KINDS, type EmitKind, type Places } from "../schedule/emit/command.ts";
import { type GracefulStop, stoppable } from "../schedule/graceful_stop.ts";
import type { Listen, Timetable } from "../schedule/job.ts";
import { jsonLines, type Log } from "../schedule/log.ts";
import type { RunReport } from "../schedule/run.ts";
import { ScheduleState } from "../schedule/state.ts";
import { VERSION } from "../version.ts";
import { callerPath } from "./options.ts";

/** Where a scheduled job keeps its lock, history and journal unless told. */
const DEFAULT_STATE = ".kvtune/schedule";

/** Adds the command. */
export function scheduleCommand(backends: Backends) {
  return new Command("schedule")
    .description("re-tune what has gone stale, by a plan: on a schedule, once, or as a unit for another scheduler")
    .option("--plan <file>", "what is kept tuned: YAML (tune/plan/example.yaml shows one)")
    .option("--cron <expression>", 'when to run, as in "0 3 * * 0": stays and runs then')
    .option("--timezone <name>", "time zone of --cron, as in Europe/Berlin (default: the host's)")
    .option("--once", "run now and exit: 0 nothing stale or updated, 1 failed")
    .addOption(
      new Option("--emit <kind>", "print a unit for another scheduler, with --cron").choices(EMIT_KINDS),
    )
    .option("--history", "print the last runs")
    .option("--results <dir>", "folder of the results files (default: the plan's)")
    .option("--state <dir>", "folder of the lock, the history and the journal", DEFAULT_STATE)
    .option("--healthz <[host:]port>", "answer /healthz and /metrics there (default host: 127.0.0.1)", parseListen)
    .option("--image <name>", "with --emit kubernetes: image with Deno and kvtune", `kvtune:${VERSION}`)
    .action(async (options) => {
      const stateDir = options.state === DEFAULT_STATE ? options.state : callerPath(options.state);
      if (options.history) return console.log(historyText(stateDir));
      // Loaded late: other commands start without what this one needs.
      const { readPlan } = await import("../plan/plan.ts");
      const planPath = callerPath(required(options.plan, "--plan", "the path of a plan file"));
      const plan = readPlan(planPath);
      if (options.once) {
        if (options.cron !== undefined || options.emit) {
          throw new UsageError("Cannot combine --once with --cron or --emit");
        }
        Deno.exitCode = exitCode(await stoppable((stop) => run(plan, stop)));
        return;
      }
      const cron = required(options.cron, "--cron", 'an expression as in "0 3 * * 0", or --once');
      const timetable: Timetable = { cron, ...(options.timezone !== undefined && { timezone: options.timezone }) };
      const { checkTimetable, scheduledJob } = await import("../schedule/job.ts");
      checkTimetable(timetable);
      if (options.emit) {
        const { results, healthz } = options;
        const places: Places = {
          ...(results !== undefined && { results: callerPath(results) }),
          ...(options.state !== DEFAULT_STATE && { state: stateDir }),
          ...(healthz && { healthz: `${healthz.hostname}:${healthz.port}` }),
        };
        return console.log(await unit(options.emit, planPath, plan, timetable, options.image, places));
      }
      const log = jsonLines();
      log("scheduled", { ...timetable, plan: planPath, mode: "one host: no Redis, SQLite journal, one process tree" });
      await stoppable((stop) =>
        scheduledJob({
          timetable,
          listen: options.healthz,
          runOnce: () => run(readPlan(planPath), stop, log),
          stop,
          log,
        })
      );

      async function run(plan: Plan, stop: GracefulStop, log: Log = jsonLines()): Promise<RunReport> {
        const { scheduledRun } = await import("../schedule/run.ts");
        const resultsDir = options.results === undefined
          ? resolve(dirname(planPath), plan.publish.results)
          : callerPath(options.results);
        Deno.mkdirSync(resultsDir, { recursive: true });
        return await scheduledRun(plan, { backends, resultsDir, stateDir, stop, log });
      }
    });
}

function exitCode({ outcome }: RunReport): number {
  return outcome === "failed" ? 1 : outcome === "stopped" ? 130 : 0;
}

function required(value: string | undefined, option: string, expected: string): string {
  if (value === undefined) throw new UsageError(`Cannot schedule without ${option}: expected ${expected}`);
  return value;
}

async function unit(
  kind: EmitKind,
  planPath: string,
  plan: Plan,
  timetable: Timetable,
  image: string,
  places: Places,
): Promise<string> {
  const { emit } = await import("../schedule/emit/emit.ts");
  const text = emit(kind, {
    plan,
    planPath,
    planText: Deno.readTextFileSync(planPath),
    timetable,
    root: resolve("."),
    deno: Deno.execPath(),
    user: Deno.env.get("USER") ?? "root",
    image,
    places,
  });
  return text.trimEnd();
}

function parseListen(text: string): Listen {
  const [, hostname = "127.0.0.1", digits] = /^(?:([^\s:]+):)?(\d{1,5})$/.exec(text) ?? [];
  if (digits !== undefined && Number(digits) <= 65535) return { hostname, port: Number(digits) };
  throw new InvalidArgumentError(`"${text}" is no place to listen, expected for example 9090 or 0.0.0.0:9090`);
}

function historyText(stateDir: string): string {
  using state = ScheduleState.open(`${stateDir}/schedule.db`);
  const rows = state.history(20).map(({ id, started, finished, outcome, report }) => {
    const { tuned = [], left = 0, why = "" } = (report ?? {}) as Partial<RunReport>;
    return [String(id), started, finished ?? "–", outcome ?? "unfinished", String(tuned.length), String(left), why];
  });
  return tableText(["run", "started", "ended", "outcome", "tuned", "left", "why"], rows);
}
