/**
 * A fleet of thousands in one process, against a real Redis: how many jobs a second it moves, what Redis holds, and where
 * it is first held up. Workers, jobs, journals and results are the real ones; only measuring is left out.
 *
 *     deno task simulate-fleet [workers] [jobs]
 *
 * @module
 */
import { cpus } from "node:os";
import process from "node:process";
import type { Plan } from "../plan/plan.ts";
import { typeKey } from "../plan/targets.ts";
import { bytesText } from "../report/format.ts";
import { tableText } from "../report/table.ts";
import { GracefulStop } from "../schedule/graceful_stop.ts";
import { collect } from "./collect.ts";
import { enqueue } from "./enqueue.ts";
import { Fleet } from "./fleet.ts";
import { connect } from "./redis.ts";
import { RedisServer } from "./testing/redis_server.ts";
import { noMeasuring, simulatedKind } from "./testing/unmeasured.ts";
import { runFleetWorker } from "./worker.ts";

/** Kinds of device: a large fleet has many hosts and few models. */
const KINDS = 40;

/** Context lengths of each problem. */
const CONTEXTS = 50;

/** Workers that connect at once: in one process more would time out. */
const AT_ONCE = 50;

/** A plan with so many jobs on all kinds of device. */
function planFor(jobs: number): Plan {
  const problems = Math.ceil(jobs / KINDS / CONTEXTS);
  return {
    tune: [{
      kernel: "mla_decode",
      problems: Array.from({ length: problems }, (_, i) => ({ heads: 16, batch: i + 1 })),
      contexts: Array.from({ length: CONTEXTS }, (_, i) => 64 * (i + 1)),
      devices: Array.from({ length: KINDS }, (_, kind) => {
        const { backend, name, smCount } = simulatedKind(kind);
        return { backend, name, smCount };
      }),
    }],
    budget: { run: 3600, problem: 60 },
    search: { strategy: "random", seed: 1, coldCache: true },
    stale: { age: 86_400 },
    busy: { then: "skip", patience: 60 },
    publish: { results: "results" },
  };
}

function machine(): string {
  const [{ model }] = cpus();
  const [load] = Deno.loadavg();
  return `${cpus().length} cores of ${model}, load ${load.toFixed(1)} at the start, Deno ${Deno.version.deno}`;
}

async function simulate(workers: number, jobs: number): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "kvtune-simulation-" });
  await using server = await RedisServer.start({ folder });
  await using fleet = new Fleet(await connect({ url: server.url }), "kvtune");
  console.log(`${machine()}, Redis ${/redis_version:(\S+)/.exec(await fleet.redis.info("server"))![1]}`);
  const info = async (section: string, name: string) =>
    Number(new RegExp(`^${name}:([0-9.]+)`, "m").exec(await fleet.redis.info(section))![1]);
  const cpuSeconds = async () => {
    const { user, system } = process.cpuUsage();
    return [(user + system) / 1e6, await info("cpu", "used_cpu_user") + await info("cpu", "used_cpu_sys")];
  };
  const rows: string[][] = [];
  const phase = async (name: string, count: number, work: () => Promise<void>) => {
    const [started, before] = [performance.now(), await cpuSeconds()];
    await work();
    const [seconds, after] = [(performance.now() - started) / 1000, await cpuSeconds()];
    const shares = after.map((cpu, i) => `${Math.round(100 * (cpu - before[i]) / seconds)} %`);
    rows.push([
      name,
      String(count),
      seconds.toFixed(1),
      (count / seconds).toFixed(0),
      ...shares,
      bytesText(await info("memory", "used_memory")),
    ]);
    console.log(rows.at(-1)!.join(" | "));
  };

  const plan = planFor(jobs);
  const total = KINDS * CONTEXTS * plan.tune[0].problems.length;
  using stop = new GracefulStop();
  const done = Promise.withResolvers<void>();
  let [completed, errors] = [0, 0];
  const running: Promise<void>[] = [];
  const worker = (n: number, onReady: () => void) =>
    runFleetWorker({
      fleet,
      name: `simulated-${n}`,
      host: "simulated",
      devices: [simulatedKind(n % KINDS)],
      measure: noMeasuring,
      takeoverSeconds: 300, // No worker dies here, and one busy process renews thousands of locks late.
      stop,
      lock: () => ({ [Symbol.dispose]: () => {} }), // They share this host, but no device.
      log(event, facts) {
        if (event === "worker ready") onReady();
        if (event === "job failed") done.reject(new Error(`a job failed: ${facts?.why}`));
        if (event === "worker error") errors++;
        if (event === "job done" && ++completed === total) done.resolve();
      },
    });
  // Paused, so that connecting, enqueueing and working are measured one after the other.
  const queues = Array.from({ length: KINDS }, (_, kind) => fleet.queue(typeKey(simulatedKind(kind))));
  await Promise.all(queues.map((queue) => queue.pause()));
  let ready = Promise.withResolvers<void>();
  let count = 0;
  await phase(`connect ${workers} workers`, workers, async () => {
    for (let i = 0; i < workers; i += AT_ONCE) {
      ready = Promise.withResolvers();
      const until = Math.min(workers, i + AT_ONCE);
      for (let n = i; n < until; n++) running.push(worker(n, () => ++count === until && ready.resolve()));
      await ready.promise;
    }
  });
  await phase("enqueue", total, async () => {
    const { added } = await enqueue(fleet, plan, undefined);
    if (added !== total) throw new Error(`${added} jobs enqueued, expected ${total}`);
  });
  await phase("take and answer", total, async () => {
    await Promise.all(queues.map((queue) => queue.resume()));
    await done.promise;
  });
  await phase("collect into files", total, async () => {
    using collecting = new GracefulStop();
    const { published } = await collect({
      fleet,
      resultsDir: `${folder}/results`,
      crossCheck: false,
      follow: false,
      stop: collecting,
      log: () => {},
    });
    if (published !== total) throw new Error(`${published} results published, expected ${total}`);
  });
  console.log(tableText(["phase", "jobs", "s", "jobs/s", "CPU of this process", "CPU of Redis", "Redis memory"], rows));
  console.log(`${errors} workers saw their connection time out: this process answered too late`);
  stop.request();
  await Promise.race([Promise.all(running), stop.over]);
  await fleet.redis.flushall();
  Deno.removeSync(folder, { recursive: true });
}

if (import.meta.main) {
  const [workers = "2000", jobs = "100000"] = Deno.args;
  await simulate(Number(workers), Number(jobs));
  Deno.exit(0);
}
