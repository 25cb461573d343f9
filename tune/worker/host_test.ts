import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert";
import { configKey } from "../../kernels/space.ts";
import { killHard } from "../testing/command.ts";
import { simulatedBackends } from "../testing/simulated_backends.ts";
import type { SimulationPlan } from "../testing/simulated_device.ts";
import { DEFAULT_LIMITS, workerEnvironment, WorkerFailure, WorkerHost } from "./host.ts";
import type { PhaseLimits } from "./host.ts";

const CONFIG = { BLOCK_N: 32 };
const KEY = configKey(CONFIG);
const OPEN = { op: "open", device: 0, kernel: "mla_decode", problem: {}, seed: 1 } as const;

async function withWorker(
  plan: SimulationPlan,
  test: (worker: WorkerHost) => Promise<void>,
  limits: PhaseLimits = DEFAULT_LIMITS,
): Promise<void> {
  const worker = new WorkerHost(simulatedBackends(plan).webgpu, limits);
  try {
    await test(worker);
  } finally {
    await worker.close();
  }
}

const failsWith = (outcome: string, message: RegExp) => (error: unknown) => {
  ok(error instanceof WorkerFailure);
  strictEqual(error.outcome, outcome);
  ok(message.test(error.message), error.message);
  return true;
};

Deno.test("WorkerHost.request() gives the replies of a worker that works", () =>
  withWorker({}, async (worker) => {
    const { devices } = await worker.request({ op: "list" });
    strictEqual(devices[0].name, "Simulated device");
    strictEqual((await worker.request(OPEN)).clock, "device");
    strictEqual((await worker.request({ op: "try", config: CONFIG })).check.ok, true);
    const timing = { samples: 3, sampleUs: 100, coldCache: true };
    const { samples } = await worker.request({ op: "time", configs: [CONFIG, CONFIG], ...timing });
    deepStrictEqual(samples.map((row) => row.length), [3, 3]);
    ok(worker.alive);
  }));

Deno.test("WorkerHost.request() ends a worker that hangs and calls it a timeout", () =>
  withWorker({ hang: [KEY] }, async (worker) => {
    const started = worker.request({ op: "try", config: CONFIG });
    await rejects(started, failsWith("timeout", /No end of compile after 0.3 s/));
    strictEqual(worker.alive, false);
    await rejects(worker.request({ op: "list" }), failsWith("crash", /took more than 0.3 s/));
  }, { ...DEFAULT_LIMITS, compile: 0.3 }));

Deno.test("WorkerHost.request() calls a worker that dies a crash, with its exit code", () =>
  withWorker({ crash: [KEY] }, async (worker) => {
    await rejects(worker.request({ op: "try", config: CONFIG }), failsWith("crash", /exit code 139/));
    strictEqual(worker.alive, false);
  }));

Deno.test("WorkerHost.request() calls a worker that is killed a crash, with the signal", () =>
  withWorker({ hang: [KEY] }, async (worker) => {
    await worker.request({ op: "list" });
    const rejected = rejects(worker.request({ op: "try", config: CONFIG }), failsWith("crash", /SIGKILL/));
    await killHard(worker.pid);
    await rejected;
  }));

Deno.test("WorkerHost.request() keeps a worker that refuses a config, with the whole compile log", () =>
  withWorker({ compile: [KEY] }, async (worker) => {
    await rejects(worker.request({ op: "try", config: CONFIG }), failsWith("compile", /says no\nwith a second line/));
    ok(worker.alive);
    strictEqual((await worker.request({ op: "list" })).devices.length, 1);
  }));

Deno.test("a worker says of what it prepares whether that has been compiled, and of what has no program only when it is tried", async () => {
  const path = new URL("../testing/preparing_worker.ts", import.meta.url).pathname;
  const worker = new WorkerHost({ command: "deno", args: ["run", "--no-prompt", "--allow-env", path] });
  try {
    await worker.request(OPEN);
    const ready = async (...values: number[]) =>
      (await worker.request({ op: "prepare", configs: values.map((a) => ({ a })) })).ready;
    deepStrictEqual(await ready(1, 2, 3), [false, true, true]);
    deepStrictEqual(await ready(1), [false]);
    await rejects(worker.request({ op: "try", config: { a: 3 } }), failsWith("compile", /a is 3/));
    await worker.request({ op: "try", config: { a: 1 } });
    deepStrictEqual(await ready(3, 1, 4), [true, true, true]);
  } finally {
    await worker.close();
  }
});

Deno.test("WorkerHost.request() ends a worker that writes what is no message", async () => {
  const worker = new WorkerHost({
    command: "deno",
    args: ["eval", "console.log('hello'); await Deno.stdin.read(new Uint8Array(9))"],
  });
  await rejects(worker.request({ op: "list" }), failsWith("crash", /wrote "hello", which is no message/));
  await worker.close();
});

Deno.test("WorkerHost.request() ends a worker whose reply lacks a field", async () => {
  const reply = JSON.stringify({ id: 1, ok: { devices: [{ name: "half a device" }] } });
  const worker = new WorkerHost({
    command: "deno",
    args: ["eval", `console.log(${JSON.stringify(reply)}); await Deno.stdin.read(new Uint8Array(9))`],
  });
  await rejects(worker.request({ op: "list" }), failsWith("crash", /Cannot read the worker's reply/));
  await worker.close();
});

Deno.test("workerEnvironment() passes everything on, the linker's folders under another name", () => {
  deepStrictEqual(workerEnvironment({ PATH: "/bin", LD_LIBRARY_PATH: "/a:/b", LD_PRELOAD: "x.so" }), {
    clearEnv: true,
    env: { PATH: "/bin", KVTUNE_LIBRARY_PATH: "/a:/b" },
  });
  deepStrictEqual(workerEnvironment({ HOME: "/root" }).env, { HOME: "/root" });
});
