/**
 * A device of numbers, for tests: its times and faults are a function of the config, of a plan, and of how many samples it
 * was asked for before. The same plan and the same order of samples give the same answers, however many a request has: a
 * slow machine asks in smaller ones.
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { randomSource } from "../../kernels/random_source.ts";
import { type Config, configKey } from "../../kernels/space.ts";
import type { TaskIdentity } from "../journal.ts";
import type { Outcome, Replies, Request, RequestBody } from "../worker/protocol.ts";

/** What a simulated device does. Config keys name the candidates that misbehave. */
export interface SimulationPlan {
  /** Times in µs by config key, in place of those made from the key. */
  readonly us?: Readonly<Record<string, number>>;
  /** Seed of noise, drift, outliers and clock steps. */
  readonly seed?: number;
  /** Standard deviation of a sample, as a share of its time. */
  readonly noise?: number;
  /**
   * Standard deviation between processes, as a share: each config of each problem takes longer or shorter by a factor that
   * stays as long as the process, as where memory happened to lie does. Drawn by the seed: another one is another process.
   */
  readonly placement?: number;
  /** How much slower the device becomes and faster again, as a share, over {@linkcode DRIFT_SAMPLES}. */
  readonly drift?: number;
  /** Share of the samples that take 1.2 to 3 times as long. */
  readonly outliers?: number;
  /** The clock falls by this share and rises again, at random moments. */
  readonly clockSteps?: number;
  /** Configs whose output is wrong, however fast they are. */
  readonly wrong?: readonly string[];
  /** Configs that pass the check once and are wrong ever after, as a race between threads can be. */
  readonly wrongLater?: readonly string[];
  readonly compile?: readonly string[];
  readonly runtime?: readonly string[];
  readonly memory?: readonly string[];
  readonly hang?: readonly string[];
  readonly crash?: readonly string[];
  readonly lost?: readonly string[];
  /** Configs that pass the check and then hang, or end their worker, when they are timed. */
  readonly hangTimed?: readonly string[];
  readonly crashTimed?: readonly string[];
  /** Every try after so many of them ends its worker. */
  readonly diesAfterTries?: number;
  /** Partitions on which every try ends its worker. */
  readonly deadSmCounts?: readonly number[];
  /** Multiprocessors of the device; 4 where absent. */
  readonly smCount?: number;
  /** Version of the device's driver; 1.0 where absent. */
  readonly driver?: string;
  /** Real time that each request takes, in ms: gives a test the moment to interrupt. */
  readonly delayMs?: number;
  /** Gets a line for each `try`, so that a test can count what was measured; `log`.pid has the worker's process id. */
  readonly log?: string;
}

/** Samples in one swing of the drift. */
export const DRIFT_SAMPLES = 4000;
/** Samples between clock steps, on average. */
const STEP_SAMPLES = 400;

/** The device that workers of this simulation report. */
export const SIMULATED_DEVICE: DeviceInfo = {
  backend: "webgpu",
  index: 0,
  name: "Simulated device",
  arch: "sim",
  driver: "1.0",
  smCount: 4,
  smCountSource: "driver",
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

/** A task on it, for a journal. */
export function simulatedIdentity(kernel: string): TaskIdentity {
  const { backend, name, arch, driver, smCount } = SIMULATED_DEVICE;
  return {
    kernel,
    sourceHash: "",
    backend,
    device: { name, arch, driver, smCount },
    problem: {},
    seed: 1,
    coldCache: true,
  };
}

/** A request that fails, or that ends or hangs the worker. */
export class SimulatedFault extends Error {
  constructor(readonly outcome: Outcome, message: string) {
    super(message);
  }

  /** True where the worker reports the failure and ends. */
  get fatal(): boolean {
    return this.outcome === "lost";
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

/** Box–Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** 100 to 200 µs, spread by a hash of the config. */
export function simulatedUs(config: Config, plan: SimulationPlan): number {
  const key = configKey(config);
  return plan.us?.[key] ?? 100 + 100 * hashOf(key) / 2 ** 32;
}

/** Answers requests by a plan. */
export class SimulatedDevice {
  /** Samples that were asked for. */
  samples = 0;
  #random: () => number;
  #phase: number;
  #slow = false;
  #nextStep: number;
  #checked = new Set<string>();
  #tries = 0;
  #smCount = SIMULATED_DEVICE.smCount;
  #problem = "";

  constructor(readonly plan: SimulationPlan) {
    this.#random = randomSource(plan.seed ?? 1);
    this.#phase = 2 * Math.PI * this.#random();
    this.#nextStep = this.#stretch();
  }

  /** @throws {SimulatedFault} With the outcome that the plan has for the config. */
  answer(request: Request | RequestBody): Replies[keyof Replies] {
    switch (request.op) {
      case "list":
        return { devices: [this.#info()] };
      case "open":
        this.#smCount = request.smCount ?? this.#info().smCount;
        this.#problem = JSON.stringify(request.problem);
        return { device: { ...this.#info(), smCount: this.#smCount }, clock: "device" };
      case "drop":
        return {};
      case "prepare":
        return { ready: request.configs.map(() => true) };
      case "try":
        return this.#try(configKey(request.config));
      case "time": {
        for (const key of request.configs.map(configKey)) {
          if (this.plan.crashTimed?.includes(key)) throw new SimulatedFault("crash", "exit code 139");
          if (this.plan.hangTimed?.includes(key)) throw new SimulatedFault("timeout", "no end");
        }
        const us = request.configs.map((config) => simulatedUs(config, this.plan) * this.#place(config));
        const rounds = Array.from({ length: request.samples }, () => us.map((one) => this.#sample(one)));
        return { samples: request.configs.map((_, i) => rounds.map((round) => round[i])) };
      }
    }
  }

  #info(): DeviceInfo {
    const { smCount = SIMULATED_DEVICE.smCount, driver = SIMULATED_DEVICE.driver } = this.plan;
    return { ...SIMULATED_DEVICE, smCount, driver };
  }

  #try(key: string): Replies["try"] {
    const { plan } = this;
    const dead = ++this.#tries > (plan.diesAfterTries ?? Infinity) || plan.deadSmCounts?.includes(this.#smCount);
    if (dead || plan.crash?.includes(key)) throw new SimulatedFault("crash", "exit code 139");
    if (plan.hang?.includes(key)) throw new SimulatedFault("timeout", "no end");
    if (plan.lost?.includes(key)) throw new SimulatedFault("lost", "the simulated device was lost");
    if (plan.memory?.includes(key)) throw new SimulatedFault("memory", "the simulated device has no 8 GB left");
    if (plan.runtime?.includes(key)) throw new SimulatedFault("runtime", "the simulated driver says no");
    if (plan.compile?.includes(key)) {
      throw new SimulatedFault("compile", "error: simulated compiler says no\nwith a second line");
    }
    const wrong = plan.wrong?.includes(key) || (plan.wrongLater?.includes(key) && this.#checked.has(key));
    this.#checked.add(key);
    return {
      compileMs: 1,
      build: {},
      check: wrong
        ? { ok: false, relError: 0.7, errors: { lseError: 3 }, why: "relative error 0.7 is above 2e-5" }
        : { ok: true, relError: 1e-6, errors: { lseError: 1e-6 } },
    };
  }

  /** The factor that this process has for a config of the open problem. */
  #place(config: Config): number {
    const { placement = 0, seed = 1 } = this.plan;
    if (placement === 0) return 1;
    return Math.exp(placement * normal(randomSource(hashOf(`${seed} ${configKey(config)} ${this.#problem}`))));
  }

  /** One sample of a config that takes `us` on a quiet device. */
  #sample(us: number): number {
    const { noise = 0, drift = 0, outliers = 0, clockSteps = 0 } = this.plan;
    if (++this.samples >= this.#nextStep) {
      this.#slow = !this.#slow;
      this.#nextStep += this.#stretch();
    }
    const swing = (1 - Math.cos(this.#phase + 2 * Math.PI * this.samples / DRIFT_SAMPLES)) / 2;
    let factor = (1 + drift * swing) * (this.#slow ? 1 + clockSteps : 1);
    if (noise > 0) factor *= Math.exp(noise * normal(this.#random));
    if (outliers > 0 && this.#random() < outliers) factor *= 1.2 + 1.8 * this.#random();
    return us * factor;
  }

  /** Exponentially distributed, so that steps come at any moment of a round. */
  #stretch(): number {
    return -STEP_SAMPLES * Math.log(1 - this.#random());
  }
}
