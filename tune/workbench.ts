/**
 * A workbench: one problem open on one device, through workers that come and go. Programs that a lost worker had built are
 * built again when they are next timed.
 *
 * @module
 */
import type { TimeOptions } from "../kernels/devices/device.ts";
import { type Config, configKey } from "../kernels/space.ts";
import { FailureError, firstLine } from "./errors.ts";
import type { Noise } from "./measure/noise.ts";
import type { OpenReply, OpenRequest, TimeReply, TryReply } from "./worker/protocol.ts";
import { type PhaseLimits, type Worker, type WorkerCommand, WorkerFailure, WorkerHost } from "./worker/host.ts";

/** Requests in a row that each ended a worker, after which the device is given up. */
const WORKERS_LOST = 6;

/** How a device fares. */
interface Health {
  /** Requests in a row that each ended a worker, and how the last one did. */
  lost: number;
  last: string;
  /** Why it was given up, where it was. */
  stopped?: string;
}

/** A place for one worker at a time, kept from problem to problem so that a device is opened once. */
export class WorkerSlot {
  readonly #start: () => Worker;
  #worker: Worker | undefined;
  #killed = false;
  #open: { request: OpenRequest; reply: OpenReply; built: Set<string> } | undefined;
  /** By device and partition: one that is broken says nothing of the others. */
  readonly #health = new Map<string, Health>();

  constructor(worker: WorkerCommand | (() => Worker), limits?: PhaseLimits) {
    this.#start = typeof worker === "function" ? worker : () => new WorkerHost(worker, limits);
  }

  /** The worker with the problem open in it, and the keys of the configs it has built: the one at hand, or a new one. */
  async worker(request: OpenRequest): Promise<{ worker: Worker; reply: OpenReply; built: Set<string> }> {
    if (this.#killed) throw new WorkerFailure("crash", "the worker was ended", true);
    if (!this.#worker?.alive) {
      this.#worker = this.#start();
      this.#open = undefined;
    }
    const worker = this.#worker;
    if (this.#open?.request !== request) {
      this.#open = undefined;
      this.#open = { request, reply: await worker.request(request), built: new Set() };
    }
    return { worker, ...this.#open };
  }

  /** How the request's device fares. */
  health({ device, smCount }: OpenRequest): Health {
    const key = `${device} ${smCount ?? ""}`;
    if (!this.#health.has(key)) this.#health.set(key, { lost: 0, last: "" });
    return this.#health.get(key)!;
  }

  /** Ends the worker at once, and starts no other. */
  kill(): void {
    this.#killed = true;
    this.#worker?.kill();
  }

  async close(): Promise<void> {
    await this.#worker?.close();
    this.#worker = undefined;
  }
}

/** One problem open on one device. */
export class Workbench {
  #known: Config | undefined;
  /** How far the device's times can be believed, once that is measured. */
  noise: Noise | undefined;

  constructor(readonly slot: WorkerSlot, readonly request: OpenRequest) {}

  /** Opens the problem on the device and says what the device is. */
  async open(): Promise<OpenReply> {
    return await this.#counted(async () => (await this.slot.worker(this.request)).reply);
  }

  /** Remembers a config that runs: what the device is asked for when a candidate has ended its worker. */
  trust(config: Config): void {
    this.#known = config;
  }

  /**
   * Compiles, runs and checks a config.
   *
   * @throws {WorkerFailure} With the outcome of whatever went wrong.
   * @throws {FailureError} Where the device is given up.
   */
  async try(config: Config): Promise<TryReply> {
    return await this.#counted(() => this.#try(config));
  }

  /**
   * Starts to compile configs that will be tried soon. A failure is told when they are.
   *
   * @returns Whether a config could be tried without waiting for a compile, for each in the order given.
   */
  async prepare(configs: readonly Config[]): Promise<readonly boolean[]> {
    if (configs.length === 0) return [];
    try {
      const { worker } = await this.slot.worker(this.request);
      return (await worker.request({ op: "prepare", configs })).ready;
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error;
      return configs.map(() => false);
    }
  }

  /** Times configs interleaved: µs, a row of samples each. Builds again what a lost worker had built. */
  async time(configs: readonly Config[], options: TimeOptions): Promise<TimeReply> {
    return await this.#counted(async () => {
      const { worker, built } = await this.slot.worker(this.request);
      for (const config of configs) {
        if (built.has(configKey(config))) continue;
        await worker.request({ op: "try", config });
        built.add(configKey(config));
      }
      return await worker.request({ op: "time", configs, ...options });
    });
  }

  /**
   * Frees a config's program, behind what the worker is doing: nobody waits for it. A worker that is lost has freed it.
   */
  async drop(config: Config): Promise<void> {
    try {
      const { worker, built } = await this.slot.worker(this.request);
      if (built.delete(configKey(config))) worker.request({ op: "drop", configs: [config] }).catch(() => {});
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error;
    }
  }

  async #try(config: Config): Promise<TryReply> {
    const { worker, built } = await this.slot.worker(this.request);
    const reply = await worker.request({ op: "try", config });
    built.add(configKey(config));
    return reply;
  }

  /**
   * Makes sure that it was the candidate that ended its worker: the baseline must run in a new one. It has to be built
   * there again in any case.
   *
   * @throws {FailureError} Where it does not run either: the device is given up.
   */
  async assure(): Promise<void> {
    if (this.#known === undefined) return;
    const health = this.slot.health(this.request);
    const { last } = health;
    let why = "";
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        const { check } = await this.try(this.#known);
        if (check.ok) return;
        why = check.why ?? "its output is wrong";
      } catch (error) {
        if (!(error instanceof WorkerFailure)) throw error;
        why = firstLine(error);
      }
    }
    health.stopped = `a worker ended (${last}), and now the baseline fails too: ${why}`;
    throw this.#stopped(health.stopped);
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    const health = this.slot.health(this.request);
    if (health.lost >= WORKERS_LOST) {
      health.stopped ??= `${health.lost} requests in a row ended their worker, the last one: ${health.last}`;
    }
    if (health.stopped !== undefined) throw this.#stopped(health.stopped);
    try {
      const result = await work();
      health.lost = 0;
      return result;
    } catch (error) {
      if (error instanceof WorkerFailure && error.workerEnded) {
        health.lost++;
        health.last = firstLine(error);
      }
      throw error;
    }
  }

  #stopped(why: string): FailureError {
    const { device, smCount } = this.request;
    return new FailureError(
      `Cannot go on with device ${device}${smCount === undefined ? "" : ` (${smCount} SMs)`}: ${why}`,
    );
  }
}
