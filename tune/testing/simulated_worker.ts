/**
 * A worker without a device, for tests: it speaks the protocol, and its times and faults are a function of the config and
 * of the plan that it is given on the command line. The same plan gives the same answers.
 *
 * @module
 */
import type { Config } from "../../kernels/space.ts";
import { configKey } from "../../kernels/space.ts";
import type { Replies, Request, WorkerMessage } from "../worker/protocol.ts";

/** What a simulated device does. Config keys name the candidates that misbehave. */
export interface SimulationPlan {
  /** Real time that each request takes, in ms: gives a test the moment to interrupt. */
  readonly delayMs?: number;
  /** Configs whose output is wrong, however fast they are. */
  readonly wrong?: readonly string[];
  readonly hang?: readonly string[];
  readonly crash?: readonly string[];
  readonly compile?: readonly string[];
  /** Gets a line for each `try`, so that a test can count what was measured; `log`.pid has the worker's process id. */
  readonly log?: string;
  /** Multiprocessors of the device; 4 where absent. */
  readonly smCount?: number;
  /** Version of the device's driver; 1.0 where absent. */
  readonly driver?: string;
  /** Times in µs by config key, in place of those made from the key. */
  readonly us?: Readonly<Record<string, number>>;
}

const DEVICE = {
  backend: "webgpu",
  index: 0,
  name: "Simulated device",
  arch: "sim",
  driver: "1.0",
  smCount: 4,
  smCountSource: "driver" as const,
  software: true, // The kernels' spaces are small on software adapters.
  limits: {
    workgroupStorageBytes: 32768,
    workgroupInvocations: 256,
    workgroupSizeX: 256,
    workgroupSizeY: 256,
    workgroupSizeZ: 64,
    workgroupsPerDimension: 65535,
    storageBuffers: 8,
    bufferBytes: 1 << 30,
    bindingBytes: 1 << 30,
  },
  features: ["shader-f16", "timestamp-query"],
};

/** 100 to 200 µs, spread by a hash of the config (FNV-1a). */
export function simulatedUs(config: Config, plan: SimulationPlan): number {
  const key = configKey(config);
  let hash = 0x811c9dc5;
  for (const char of key) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return plan.us?.[key] ?? 100 + 100 * hash / 2 ** 32;
}

async function answer(request: Request, plan: SimulationPlan): Promise<Replies[keyof Replies]> {
  const device = { ...DEVICE, smCount: plan.smCount ?? DEVICE.smCount, driver: plan.driver ?? DEVICE.driver };
  if (request.op === "list") return { devices: [device] };
  if (request.op === "open") return { device, clock: "device" };
  if (request.op === "drop") return {};
  if (request.op === "time") {
    // The fourth decimal tells the rounds apart, so that intervals have a width.
    const rounds = [...new Array(request.samples).keys()];
    return { samples: request.configs.map((config) => rounds.map((i) => simulatedUs(config, plan) + i * 1e-4)) };
  }
  const key = configKey(request.config);
  if (plan.log) Deno.writeTextFileSync(`${plan.log}.pid`, String(Deno.pid));
  if (plan.log) Deno.writeTextFileSync(plan.log, key + "\n", { append: true });
  if (plan.crash?.includes(key)) Deno.exit(139);
  if (plan.hang?.includes(key)) await new Promise(() => {});
  if (plan.compile?.includes(key)) throw new Error("error: simulated compiler says no\nwith a second line");
  const wrong = plan.wrong?.includes(key) ?? false;
  return {
    compileMs: 1,
    build: {},
    check: wrong
      ? { ok: false, relError: 0.7, errors: { lseError: 3 }, why: "relative error 0.7 is above 2e-5" }
      : { ok: true, relError: 1e-6, errors: { lseError: 1e-6 } },
  };
}

if (import.meta.main) {
  Deno.addSignalListener("SIGINT", () => {});
  const plan: SimulationPlan = JSON.parse(Deno.args[0] ?? "{}");
  const keepAlive = setInterval(() => {}, 1000); // A pending promise alone does not keep a process that hangs.
  const write = (message: WorkerMessage) =>
    Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(message) + "\n"));
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      const request = JSON.parse(line) as Request;
      if (request.op === "try") write({ id: request.id, phase: "compile" });
      if (plan.delayMs && request.op !== "list") await new Promise((done) => setTimeout(done, plan.delayMs));
      try {
        write({ id: request.id, ok: await answer(request, plan) });
      } catch (error) {
        const message = (error as Error).message;
        write({ id: request.id, failure: { outcome: "compile", message, fatal: false } });
      }
    }
  }
  clearInterval(keepAlive);
}
