/** `tune fleet`: many hosts tune one plan, through BullMQ on Redis. */
import { Command, Option } from "@commander-js/extra-typings";
import { basename } from "node:path";
import { hostname } from "node:os";
import { type Backends, findAllDevices } from "../backends.ts";
import { FailureError, UsageError } from "../errors.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { stoppable } from "../schedule/graceful_stop.ts";
import { jsonLines } from "../schedule/log.ts";
import { callerPath, parseDuration } from "./options.ts";

interface FleetOptions {
  readonly redis?: string;
  readonly redisCa?: string;
  readonly prefix: string;
}

/** Adds the command. */
export function fleetCommand(backends: Backends) {
  return new Command("fleet")
    .description("tune on many hosts through Redis: deno task fleet … (one host needs none: tune schedule)")
    .addCommand(enqueueCommand())
    .addCommand(workerCommand(backends))
    .addCommand(collectCommand())
    .addCommand(statusCommand())
    .addCommand(drainCommand());
}

function command(name: string) {
  return new Command(name)
    .option("--redis <url>", "redis://:password@host:6379, or rediss://… for TLS (default: REDIS_URL)")
    .option("--redis-ca <file>", "certificates in PEM form that TLS trusts besides the system's")
    .option("--prefix <name>", "keeps fleets on one Redis apart", "kvtune");
}

function enqueueCommand() {
  return command("enqueue")
    .description("add a job for each target of a plan that is stale")
    .requiredOption("--plan <file>", "what is kept tuned: YAML (tune/plan/example.yaml shows one)")
    .option("--results <dir>", "folder of the stored results, which say what is stale (default: all of the plan is)")
    .option("--cron <expression>", 'do so on a schedule, as in "0 3 * * 0": a collector with --follow does it')
    .option("--timezone <name>", "time zone of --cron, as in Europe/Berlin")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (options) => {
      const { readPlan } = await import("../plan/plan.ts");
      const { enqueue, enqueueRecurring } = await import("../fleet/enqueue.ts");
      const path = callerPath(options.plan);
      const plan = readPlan(path);
      const { cron, timezone } = options;
      await using fleet = await openFleet(options);
      if (cron !== undefined) {
        const { checkTimetable } = await import("../schedule/job.ts");
        checkTimetable({ cron, ...(timezone !== undefined && { timezone }) });
        const name = basename(path);
        const next = await enqueueRecurring(fleet, name, Deno.readTextFileSync(path), {
          cron,
          ...(timezone !== undefined && { timezone }),
        });
        console.log(
          options.json ? JSON.stringify({ name, next }) : `Recurring: ${name}, next at ${next?.toISOString()}`,
        );
        return;
      }
      const enqueued = await enqueue(
        fleet,
        plan,
        options.results === undefined ? undefined : callerPath(options.results),
      );
      if (options.json) return console.log(JSON.stringify(enqueued));
      const { targets, added, queued, fresh, nobodyHas } = enqueued;
      console.log(`${added} of ${targets} targets enqueued, ${queued} were queued already, ${fresh} are not stale`);
      for (const kind of nobodyHas) console.log(`No worker has announced a ${kind} yet: its jobs wait`);
      if (targets === 0) {
        console.log("No worker has announced a device of the plan: start some, or name devices in full");
      }
    });
}

function workerCommand(backends: Backends) {
  return command("worker")
    .description("tune on this host's devices, one job at a time on each")
    .addOption(
      new Option("--takeover <time>", "silence after which another worker takes over a job")
        .argParser(parseDuration).default(30, "30s"),
    )
    .action(async (options) => {
      const { runFleetWorker } = await import("../fleet/worker.ts");
      const { deviceMeasure } = await import("../fleet/measure.ts");
      const devices = (await findAllDevices(backends)).flatMap(({ devices }) => devices);
      if (devices.length === 0) {
        throw new FailureError("Cannot find a device: deno run tune doctor says what is missing");
      }
      await using fleet = await openFleet(options);
      const host = hostname();
      await stoppable((stop) =>
        runFleetWorker({
          fleet,
          name: `${host}-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`,
          host,
          devices,
          measure: deviceMeasure(backends),
          takeoverSeconds: options.takeover,
          stop,
          log: jsonLines(),
        })
      );
    });
}

function collectCommand() {
  return command("collect")
    .description("take what workers found into a results folder, until nothing is left to wait for")
    .option("--results <dir>", "folder of the results files", "results")
    .option("--follow", "stay, and enqueue recurring plans as they come due")
    .option("--no-cross-check", "do not have winners checked by another worker with the same kind of device")
    .action(async (options) => {
      const { collect } = await import("../fleet/collect.ts");
      const log = jsonLines();
      await using fleet = await openFleet(options);
      const collected = await stoppable((stop) =>
        collect({
          fleet,
          resultsDir: options.results === "results" ? options.results : callerPath(options.results),
          crossCheck: options.crossCheck,
          follow: options.follow ?? false,
          stop,
          log,
        })
      );
      log("collected", { ...collected });
    });
}

function statusCommand() {
  return command("status")
    .description("say who is there, what waits for whom and why, and what was refused")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (options) => {
      const { fleetStatus, statusText } = await import("../fleet/status.ts");
      await using fleet = await openFleet(options);
      const status = await fleetStatus(fleet);
      console.log(options.json ? JSON.stringify(status, null, 2) : statusText(status));
    });
}

function drainCommand() {
  return command("drain")
    .description("remove every job that no worker has begun")
    .option("--recurring", "remove recurring plans too")
    .action(async (options) => {
      const { drain } = await import("../fleet/drain.ts");
      await using fleet = await openFleet(options);
      const { removed, active, recurring } = await drain(fleet, { recurring: options.recurring ?? false });
      console.log(`${removed} jobs and ${recurring} recurring plans removed; ${active} jobs are in progress and end`);
    });
}

async function openFleet({ redis, redisCa, prefix }: FleetOptions): Promise<Fleet> {
  const url = redis ?? Deno.env.get("REDIS_URL");
  if (!url) {
    throw new UsageError(
      "Cannot reach a fleet without Redis: expected --redis or REDIS_URL; on one host tune schedule needs none",
    );
  }
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(prefix)) {
    throw new UsageError(`Cannot use --prefix "${prefix}": expected 1 to 64 letters, digits, _, . or -`);
  }
  const { connect, doubts } = await import("../fleet/redis.ts");
  const { Fleet } = await import("../fleet/fleet.ts");
  const ca = redisCa === undefined ? undefined : readCertificates(callerPath(redisCa));
  const connection = await connect({ url, ...(ca !== undefined && { ca }) });
  for (const doubt of await doubts(connection)) console.error(`warning: ${doubt}`);
  return new Fleet(connection, prefix);
}

function readCertificates(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    throw new UsageError(`Cannot read --redis-ca "${path}": expected a file with certificates in PEM form`);
  }
}
