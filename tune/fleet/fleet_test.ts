import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { parseResults, type Results } from "../../results/mod.ts";
import { parsePlanText } from "../plan/plan.ts";
import { GracefulStop } from "../schedule/graceful_stop.ts";
import { scheduledRun } from "../schedule/run.ts";
import { inFolder, killHard } from "../testing/command.ts";
import { simulatedBackends } from "../testing/simulated_backends.ts";
import { fleetCommand, FleetProcess } from "./testing/processes.ts";
import type { KindStatus } from "./status.ts";
import { hasRedis, RedisServer } from "./testing/redis_server.ts";

/** Eight targets on each of three kinds of device, and one on a kind that nobody has. */
const PLAN = `version: 1
tune:
  - kernel: mla_decode
    problems: [{ heads: 16 }, { heads: 8 }]
    contexts: [64, 96, 128, 160]
    devices:
      - { backend: webgpu, name: Simulated device, smCount: 4 }
      - { backend: webgpu, name: Simulated device, smCount: 8 }
      - { backend: webgpu, name: Simulated device, smCount: 16 }
  - kernel: mla_decode
    problems: [{ heads: 16 }]
    contexts: [64]
    devices: [{ backend: webgpu, name: Simulated device, smCount: 99 }]
search: { strategy: exhaustive }
`;

const OUTAGE_MS = 10_000;

function resultsOf(folder: string): Map<string, Results> {
  const device = `${folder}/results/mla_decode/webgpu/simulated-device`;
  const names = [...Deno.readDirSync(device)].map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, parseResults(Deno.readTextFileSync(`${device}/${name}`))]));
}

/** Whether jobs wait that somebody will take. */
const waitsForWorker = ({ waiting, why }: KindStatus) => waiting > 0 && why === undefined;

const lines = (path: string) => Deno.readTextFileSync(path).trim().split("\n").filter((line) => line !== "");

Deno.test({
  name:
    "a fleet loses and doubles no job through kill -9, ten seconds without Redis and SIGTERM, and goes on from uploaded journals",
  ignore: !hasRedis,
  fn: inFolder(async (folder) => {
    await using redis = await RedisServer.start({ folder });
    Deno.writeTextFileSync(`${folder}/plan.yaml`, PLAN);
    const log = (smCount: number) => `${folder}/tried-${smCount}`;
    const options = (smCount: number) => ({
      url: redis.url,
      host: `${folder}/host-${smCount}`,
      simulation: { smCount, log: log(smCount), delayMs: 5 },
    });
    const worker = (smCount: number) => new FleetProcess(["worker", "--takeover", "4s"], options(smCount));
    const status = async () => JSON.parse((await fleetCommand(["status", "--json"], options(4))).stdout);
    for (const smCount of [4, 8, 16]) Deno.writeTextFileSync(log(smCount), "");

    const enqueued = await fleetCommand(["enqueue", "--plan", `${folder}/plan.yaml`, "--json"], options(4));
    strictEqual(JSON.parse(enqueued.stdout).added, 25, enqueued.stderr);
    await using collector = new FleetProcess(["collect", "--follow", "--results", `${folder}/results`], options(4));
    await using killed = worker(4);
    await using terminated = worker(8);
    await using steady = worker(16);

    // kill -9 in the middle of its second job; another worker with such a device takes over.
    await killed.reaching("job started", 2);
    const atStart = lines(log(4)).length;
    using watcher = Deno.watchFs(log(4));
    for await (const _ of watcher) if (lines(log(4)).length > atStart + 20) break;
    await killHard(killed.child.pid);
    strictEqual((await killed.status()).signal, "SIGKILL");
    await using successor = worker(4);
    const { job } = killed.events.findLast(({ event }) => event === "job started")!;
    for (let taken = 1; !(await successor.reaching("job started", taken)).some((started) => started.job === job);) {
      taken++;
    }

    // Ten seconds without Redis, with jobs in progress.
    await redis.stop();
    await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS)); // The outage itself, not a wait for anything.
    await redis.start();

    // SIGTERM gives the job in progress back.
    const begun = terminated.events.filter(({ event }) => event === "job started").length;
    await terminated.reaching("job started", begun + 1);
    strictEqual((await terminated.terminate()).code, 0);
    strictEqual((await terminated.reaching("job given back")).length, 1);
    await using heir = worker(8);

    // Until nothing is left but the job that nobody can take.
    let final = await status();
    while (
      final.kinds.some((kind: KindStatus) => kind.active + kind.delayed + kind.finished > 0 || waitsForWorker(kind))
    ) {
      final = await status();
    }

    // Every job is in the results once: what the collector published was new each time.
    strictEqual((await collector.terminate()).code, 0);
    const { published, kept, refused } = collector.events.at(-1)!;
    deepStrictEqual({ published, kept, refused }, { published: 24, kept: 0, refused: 0 });
    const results = resultsOf(folder);
    deepStrictEqual([...results.keys()], ["heads16-batch1-fp8_e4m3.json", "heads8-batch1-fp8_e4m3.json"]);
    for (const { configs } of results.values()) {
      deepStrictEqual(Object.keys(configs), ["4", "8", "16"]);
      for (const sizes of Object.values(configs)) deepStrictEqual(Object.keys(sizes), ["64", "96", "128", "160"]);
    }

    // The job for a device that nobody has waits, and the status says why.
    const nobody = final.kinds.find(({ kind }: { kind: string }) => kind.endsWith(".99"));
    strictEqual(nobody.waiting, 1);
    match(nobody.why, /no worker has announced a Simulated device with 99 SMs \(webgpu\)/);
    deepStrictEqual([final.failures, final.refusals], [[], []]);

    for (const process of [successor, heir, steady]) strictEqual((await process.terminate()).code, 0);

    // Who took over went on from the uploaded journal: beside an unbroken run's tries there are only those that begin and
    // end a task (a baseline and the finalists of its race) and the interrupted one, for each interruption.
    for (const [smCount, interruptions] of [[4, 2], [8, 2], [16, 1]]) {
      const more = lines(log(smCount)).length - await unbrokenTries(folder, smCount);
      ok(more <= 6 * interruptions, `${more} more tries on ${smCount} SMs than in an unbroken run`);
    }
  }),
});

/** The configs that the plan's targets on one kind of device take to tune, on one host and undisturbed. */
async function unbrokenTries(folder: string, smCount: number): Promise<number> {
  const log = `${folder}/unbroken-${smCount}`;
  Deno.writeTextFileSync(log, "");
  using stop = new GracefulStop();
  const { outcome, tuned } = await scheduledRun(parsePlanText(PLAN, "plan.yaml"), {
    backends: simulatedBackends({ smCount, log }),
    resultsDir: `${log}-results`,
    stateDir: `${log}-state`,
    stop,
    log: () => {},
  });
  deepStrictEqual([outcome, tuned.length], ["updated", 8]);
  return lines(log).length;
}
