/**
 * A fleet of thousands in one process, against a real Redis: how many jobs a second it moves, what Redis holds, and where
 * it is first held up. Workers, jobs, journals and results are the real ones; only measuring is left out.
 *
 *     deno task simulate-fleet [workers] [jobs]
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { type Results, SCHEMA_REFERENCE, SCHEMA_VERSION } from "../../results/mod.ts";
import type { Plan } from "../plan/plan.ts";
import { placeOf, problemOf } from "../plan/targets.ts";
import { bytesText } from "../report/format.ts";
import { tableText } from "../report/table.ts";
import { GracefulStop } from "../schedule/graceful_stop.ts";
import { collect } from "./collect.ts";
import { enqueue } from "./enqueue.ts";
import { Fleet } from "./fleet.ts";
import type { TuneJob } from "./job.ts";
import type { Measure } from "./measure.ts";
import { connect } from "./redis.ts";
import { RedisServer } from "./testing/redis_server.ts";
import { runFleetWorker } from "./worker.ts";

/** Kinds of device: a large fleet has many hosts and few models. */
const KINDS = 40;

/** Context lengths of each problem. */
const CONTEXTS = 50;

function device(kind: number): DeviceInfo {
  return {
    backend: "webgpu",
    index: 0,
    name: `Simulated device ${kind}`,
    arch: "sim",
    driver: "1.0",
    smCount: 132,
    smCountSource: "driver",
    software: true,
    limits: {
      workgroupStorageBytes: 32768,
      workgroupInvocations: 256,
      workgroupSizeX: 256,
      workgroupSizeY: 256,
      workgroupSizeZ: 64,
      workgroupsPerDimension: 65535,
      storageBuffers: 8,
      bufferBytes: 2 ** 30,
      bindingBytes: 2 ** 30,
    },
    features: ["shader-f16"],
  };
}

/** A plan with so many jobs on all kinds of device. */
function planFor(jobs: number): Plan {
  const problems = Math.ceil(jobs / KINDS / CONTEXTS);
  return {
    tune: [{
      kernel: "mla_decode",
      problems: Array.from({ length: problems }, (_, i) => ({ heads: 16, batch: i + 1 })),
      contexts: Array.from({ length: CONTEXTS }, (_, i) => 64 * (i + 1)),
      devices: Array.from({ length: KINDS }, (_, kind) => {
        const { backend, name, smCount } = device(kind);
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

/** Results that a worker could have measured: the baseline, in no time. */
function unmeasured({ target, sourceHash }: TuneJob, of: DeviceInfo): Results {
  const kernel = kernelNamed(target.kernel);
  const problem = problemOf(target);
  const { size: { smCount, contextLen } } = placeOf(target);
  const config = kernel.implementations[of.backend]!.baseline(problem, of);
  return {
    $schema: SCHEMA_REFERENCE,
    schemaVersion: SCHEMA_VERSION,
    kernel: kernel.name,
    backend: of.backend,
    device: { name: of.name, arch: of.arch, smCount: of.smCount, software: of.software },
    problem: { name: kernel.problemName(problem), ...kernel.problemFields(problem) },
    configs: { [smCount]: { [contextLen]: config } },
    evidence: {
      [smCount]: {
        [contextLen]: {
          us: 100,
          interval: [99, 101],
          samples: 40,
          baselineUs: 100,
          baselineConfig: config,
          speedup: 1,
          speedupInterval: [1, 1],
          relError: 1e-6,
          errors: { lseError: 1e-6 },
          workspaceBytes: 0,
          gbps: 1,
          tflops: 1,
          clock: "device",
          coldCache: true,
          partition: false,
          chosen: "baseline",
          toolchain: "none",
          driver: of.driver,
          sourceHash,
          kvtune: "0.1.0",
          date: new Date().toISOString(),
          command: "none: simulated",
        },
      },
    },
  };
}

const noMeasuring: Measure = {
  tune: (job, of) => Promise.resolve(unmeasured(job, of)),
  check: () => Promise.resolve({ holds: true, detail: "not measured" }),
};

/** CPU seconds of a process so far, where the system tells (Linux, at 100 ticks a second). */
function cpuSeconds(pid: number | "self"): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function machine(): string {
  const model = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const load = Deno.readTextFileSync("/proc/loadavg").split(" ")[0];
  return `${navigator.hardwareConcurrency} cores of ${model}, load ${load} at the start, Deno ${Deno.version.deno}`;
}

async function simulate(workers: number, jobs: number): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "kvtune-simulation-" });
  await using server = await RedisServer.start({ folder });
  await using fleet = new Fleet(await connect({ url: server.url }), "kvtune");
  console.log(`${machine()}, Redis ${/redis_version:(\S+)/.exec(await fleet.redis.info("server"))![1]}`);
  const memory = async () => Number(/used_memory:(\d+)/.exec(await fleet.redis.info("memory"))![1]);
  const rows: string[][] = [];
  const phase = async (name: string, count: number, work: () => Promise<void>) => {
    const before = [performance.now(), cpuSeconds("self"), cpuSeconds(server.pid)];
    await work();
    const seconds = (performance.now() - before[0]) / 1000;
    const share = (now: number, then: number) => `${Math.round(100 * (now - then) / seconds)} %`;
    rows.push([
      name,
      String(count),
      seconds.toFixed(1),
      (count / seconds).toFixed(0),
      share(cpuSeconds("self"), before[1]),
      share(cpuSeconds(server.pid), before[2]),
      bytesText(await memory()),
    ]);
    console.log(rows.at(-1)!.join(" | "));
  };

  const plan = planFor(jobs);
  const total = KINDS * CONTEXTS * plan.tune[0].problems.length;
  using stop = new GracefulStop();
  const done = Promise.withResolvers<void>();
  let completed = 0;
  const running: Promise<void>[] = [];
  await phase("enqueue", total, async () => {
    const { added } = await enqueue(fleet, plan, undefined);
    if (added !== total) throw new Error(`${added} jobs enqueued, expected ${total}`);
  });
  let ready = 0;
  await phase(`${workers} workers take and answer them`, total, async () => {
    for (let i = 0; i < workers; i++) {
      running.push(runFleetWorker({
        fleet,
        name: `simulated-${i}`,
        host: "simulated",
        devices: [device(i % KINDS)],
        measure: noMeasuring,
        takeoverSeconds: 300, // No worker dies here, and one busy process renews thousands of locks late.
        stop,
        lock: () => ({ [Symbol.dispose]: () => {} }), // They share this host, but no device.
        log(event) {
          if (event === "worker ready") ready++;
          if (event === "job failed") throw new Error("a job failed");
          if (event === "job done" && ++completed === total) done.resolve();
        },
      }));
    }
    await done.promise;
  });
  if (ready !== workers) throw new Error(`${ready} workers were ready, expected ${workers}`);
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
  stop.request();
  await Promise.all(running);
  await fleet.redis.flushall();
  Deno.removeSync(folder, { recursive: true });
}

if (import.meta.main) {
  const [workers = "2000", jobs = "100000"] = Deno.args;
  await simulate(Number(workers), Number(jobs));
  Deno.exit(0);
}
