import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert";
import { parseResults, resultsPath } from "../../results/mod.ts";
import { parsePlanText, type Plan } from "../plan/plan.ts";
import { typeKey } from "../plan/targets.ts";
import { inFolder } from "../testing/command.ts";
import { drain } from "./drain.ts";
import { enqueue, enqueueRecurring } from "./enqueue.ts";
import type { Fleet } from "./fleet.ts";
import { type Measure } from "./measure.ts";
import { doubts } from "./redis.ts";
import { fleetStatus, statusText } from "./status.ts";
import { collected, openFleet, WorkerInProcess } from "./testing/in_process.ts";
import { fleetCommand } from "./testing/processes.ts";
import { hasRedis, RedisServer } from "./testing/redis_server.ts";
import { noMeasuring, simulatedKind } from "./testing/unmeasured.ts";

const DEVICE = simulatedKind(0);
const KIND = typeKey(DEVICE);
const PLAN: Plan = parsePlanText(
  `version: 1
tune:
  - kernel: mla_decode
    problems: [{ heads: 16 }]
    contexts: [64, 128]
    devices: [{ backend: webgpu, name: Simulated device 0, smCount: 132 }]
`,
  "plan.yaml",
);

/** Runs a test with a Redis and a fleet of its own. */
function inFleet(test: (fleet: Fleet, folder: string, redis: RedisServer) => Promise<void>) {
  return {
    ignore: !hasRedis,
    fn: inFolder(async (folder) => {
      await using redis = await RedisServer.start({ folder });
      await using fleet = await openFleet(redis.url);
      await test(fleet, folder, redis);
    }),
  };
}

const worker = (fleet: Fleet, name: string, measure: Measure = noMeasuring) =>
  new WorkerInProcess({ fleet, name, devices: [DEVICE], measure });

function stored(folder: string) {
  const path = resultsPath({
    kernel: "mla_decode",
    backend: "webgpu",
    device: DEVICE,
    problem: "heads16-batch1-fp8_e4m3",
  });
  return parseResults(Deno.readTextFileSync(`${folder}/results/${path}`));
}

Deno.test({
  name: "a worker refuses poisoned jobs for good, which is recorded without their data, and goes on",
  ...inFleet(async (fleet, folder) => {
    const queue = fleet.queue(KIND);
    await enqueue(fleet, PLAN, undefined);
    const [{ data: good }] = await queue.getJobs(["waiting"], 0, 0);
    await queue.add("tune", { ...good, target: { ...good.target, kernel: "nope" } }, { jobId: "kernel" });
    await queue.add("tune", { ...good, sourceHash: "0".repeat(64) }, { jobId: "hash" });
    await queue.add("tune", { ...good, more: "x".repeat(1e7) }, { jobId: "large" });
    await queue.add("tune", { ...good, target: { ...good.target, problem: { heads: 999 } } }, { jobId: "range" });
    const results = noMeasuring.tune(good, DEVICE, undefined!, undefined!);
    const config = JSON.parse(JSON.stringify(await results).replaceAll(/"BLOCK_N":\d+/g, '"BLOCK_N":8'));
    const check = { ...good, do: "check", results: config, measuredBy: "x", budgetSeconds: undefined };
    await queue.add("check", check, { jobId: "config" });
    await using a = worker(fleet, "a");
    await a.reaching("job failed", 5);
    await a.reaching("job done", 2);
    const refusals = new Map((await fleet.refusals(9)).map(({ job, why }) => [job, why]));
    deepStrictEqual([...refusals.keys()].sort(), ["config", "hash", "kernel", "large", "range"]);
    match(refusals.get("kernel")!, /Cannot find kernel "nope"/);
    match(refusals.get("hash")!, /its source hash is 0{64}, expected/);
    match(refusals.get("large")!, /it has 1\d{7} characters, expected at most 65536/);
    match(refusals.get("range")!, /heads is 999/);
    match(refusals.get("config")!, /their baseline is .*BLOCK_N=8/);
    const { data, attemptsMade } = (await queue.getJob("large"))!;
    deepStrictEqual(Object.keys(data), ["refused"]);
    strictEqual(attemptsMade, 1);
    const status = await fleetStatus(fleet);
    deepStrictEqual([status.kinds[0].failed, status.kinds[0].finished], [5, 2]);
    match(statusText(status), /Refused at .*: Cannot find kernel "nope"/);
    strictEqual((await collected(fleet, `${folder}/results`)).published, 2);
  }),
});

Deno.test({
  name: "collect() refuses an answer that is not about its job, and publishes the rest",
  ...inFleet(async (fleet, folder) => {
    await enqueue(fleet, PLAN, undefined);
    const lying: Measure = {
      ...noMeasuring,
      async tune(job, ...rest) {
        const results = (await noMeasuring.tune(job, ...rest))!;
        return job.target.contextLen === 64 ? results : { ...results, kernel: "other" };
      },
    };
    await using a = worker(fleet, "a", lying);
    await a.reaching("job done", 2);
    const { published, refused } = await collected(fleet, `${folder}/results`);
    deepStrictEqual([published, refused], [1, 1]);
    deepStrictEqual(Object.keys(stored(folder).configs["132"]), ["64"]);
    match((await fleet.refusals(1))[0].why, /Cannot take results about other\//);
  }),
});

Deno.test({
  name: "a winner is checked by another worker with such a device, and published where it holds",
  ...inFleet(async (fleet, folder) => {
    await enqueue(fleet, PLAN, undefined);
    const checks: string[] = [];
    const measure = (name: string): Measure => ({
      tune: noMeasuring.tune,
      check({ measuredBy, target: { contextLen } }) {
        checks.push(`${measuredBy} ${name}`);
        return Promise.resolve({ holds: contextLen === 64, detail: "1.00× → 0.70×" });
      },
    });
    await using _a = worker(fleet, "a", measure("a"));
    await using _b = worker(fleet, "b", measure("b"));
    const result = await collected(fleet, `${folder}/results`);
    deepStrictEqual(result, { published: 1, kept: 0, refused: 1, checks: 2, confirmed: 1 });
    strictEqual(checks.length, 2);
    for (const check of checks) ok(["a b", "b a"].includes(check), check);
    deepStrictEqual(Object.keys(stored(folder).configs["132"]), ["64"]);
    match((await fleet.refusals(1))[0].why, /context 128, .*: [ab] and [ab] disagree: 1\.00× → 0\.70×/);
    deepStrictEqual(await fleet.counts(KIND), { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 });
  }),
});

Deno.test({
  name: "enqueue() adds what is stale once: not what is queued, not what is stored and holds, and again what failed",
  ...inFleet(async (fleet, folder) => {
    const results = `${folder}/results`;
    const added = async () => {
      const { added, queued, fresh } = await enqueue(fleet, PLAN, results);
      return { added, queued, fresh };
    };
    deepStrictEqual(await added(), { added: 2, queued: 0, fresh: 0 });
    deepStrictEqual(await added(), { added: 0, queued: 2, fresh: 0 });
    {
      await using a = worker(fleet, "a");
      await a.reaching("job done", 2);
      await collected(fleet, results);
    }
    const stale = await added();
    // The kvtune of results that were not measured is none: they are stale by that alone.
    deepStrictEqual(stale, { added: 2, queued: 0, fresh: 0 });
    const [job] = await fleet.queue(KIND).getJobs(["waiting"], 0, 0);
    await job.updateData({ broken: true });
    {
      await using b = worker(fleet, "b");
      await b.reaching("job failed");
      await b.reaching("job done");
    }
    deepStrictEqual(await added(), { added: 1, queued: 1, fresh: 0 });
  }),
});

Deno.test({
  name: "drain() removes what no worker has begun, and recurring plans where asked",
  ...inFleet(async (fleet) => {
    await enqueue(fleet, PLAN, undefined);
    const next = await enqueueRecurring(fleet, "plan.yaml", "version: 1", { cron: "0 3 1 1 *", timezone: "UTC" });
    match(next!.toISOString(), /-01-01T03:00:00\.000Z$/);
    strictEqual((await fleetStatus(fleet)).recurring[0].cron, "0 3 1 1 *");
    deepStrictEqual(await drain(fleet, { recurring: true }), { removed: 2, active: 0, recurring: 1 });
    deepStrictEqual((await fleetStatus(fleet)).recurring, []);
  }),
});

const hasOpenssl = (() => {
  try {
    return new Deno.Command("openssl", { args: ["version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
})();
if (!hasOpenssl) console.warn("SKIPPED: the fleet is not tested over TLS, since openssl is not installed");

Deno.test({
  name: "tune fleet speaks TLS to a Redis whose certificate it is told to trust, and to no other",
  ignore: !hasRedis || !hasOpenssl,
  fn: inFolder(async (folder) => {
    const tls = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
    const made = await new Deno.Command("openssl", {
      args: [
        ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
        ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tls.key, "-out", tls.cert],
      ],
      stderr: "null",
    }).output();
    ok(made.success);
    await using redis = await RedisServer.start({ folder, tls });
    const options = { url: redis.url, host: folder };
    const trusted = await fleetCommand(["status", "--redis-ca", tls.cert], options);
    strictEqual(trusted.code, 0, trusted.stderr);
    const untrusted = await fleetCommand(["status"], options);
    strictEqual(untrusted.code, 1);
    match(untrusted.stderr, /^error: Cannot reach Redis at rediss:\/\/127\.0\.0\.1:\d+: .*[Cc]ertificate/);
  }),
});

Deno.test({
  name: "tune fleet names the server and not the password where it is wrong, and says what would lose jobs",
  ignore: !hasRedis,
  fn: inFolder(async (folder) => {
    const more = ["--maxmemory-policy", "allkeys-lru", "--appendonly", "no"];
    await using redis = await RedisServer.start({ folder, more });
    const wrong = await fleetCommand(["status"], { url: redis.wrongUrl, host: folder });
    strictEqual(wrong.code, 1);
    match(wrong.stderr, /^error: Cannot reach Redis at redis:\/\/127\.0\.0\.1:\d+: WRONGPASS/);
    await using fleet = await openFleet(redis.url);
    deepStrictEqual(await doubts(fleet.redis), [
      "Redis has no append-only file: jobs are lost where it stops (appendonly yes)",
      "Redis may evict jobs: maxmemory-policy is allkeys-lru, expected noeviction",
    ]);
  }),
});

Deno.test({
  name: "tune fleet fails at once where nobody answers",
  ignore: !hasRedis,
  fn: inFolder(async (folder) => {
    const redis = await RedisServer.start({ folder });
    await redis.stop();
    const { code, stderr } = await fleetCommand(["worker"], { url: redis.url, host: folder });
    strictEqual(code, 1);
    match(stderr, /^error: Cannot reach Redis at redis:\/\/127\.0\.0\.1:\d+: .*refused/i);
    await rejects(openFleet("http://x"), /Cannot read the Redis URL: expected redis:\/\//);
  }),
});

Deno.test("tune fleet without a Redis says that one host needs none", async () => {
  const { code, stderr } = await fleetCommand(["status"], { url: "", host: "" });
  strictEqual(code, 2);
  match(
    stderr,
    /Cannot reach a fleet without Redis: expected --redis or REDIS_URL; on one host tune schedule needs none/,
  );
});
