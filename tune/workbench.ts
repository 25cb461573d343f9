/**
 * A workbench: one problem open on one device, through workers that come and go. Programs that a lost worker had built are
 * built again when they are next timed.
 *
 * @module
 */
import type { TimeOptions } from "../kernels/devices/device.ts";
import { type Config, configKey } from "../kernels/space.ts";
import { FailureError } from "./errors.ts";
import type { OpenReply, OpenRequest, TimeReply, TryReply } from "./worker/protocol.ts";
import { type PhaseLimits, type WorkerCommand, WorkerFailure, WorkerHost } from "./worker/host.ts";

/** Requests in a row that each ended a worker, after which the device counts as unusable. */
const WORKERS_LOST = 6;

/** A place for one worker at a time, kept from problem to problem so that a device is opened once. */
export class WorkerSlot {
  #worker: WorkerHost | undefined;
  #open: { request: OpenRequest; reply: OpenReply; built: Set<string> } | undefined;
  #lost = 0;

  constructor(readonly command: WorkerCommand, readonly limits?: PhaseLimits) {}

  /** The worker with the problem open in it, and the keys of the configs it has built: the one at hand, or a new one. */
  async worker(request: OpenRequest): Promise<{ worker: WorkerHost; reply: OpenReply; built: Set<string> }> {
    if (!this.#worker?.alive) {
      if (this.#lost >= WORKERS_LOST) {
        throw new FailureError(`Cannot go on with this device: ${this.#lost} requests in a row ended their worker`);
      }
      this.#worker = new WorkerHost(this.command, this.limits);
      this.#open = undefined;
    }
    const worker = this.#worker;
    if (this.#open?.request !== request) {
      this.#open = undefined;
      this.#open = { request, reply: await worker.request(request), built: new Set() };
    }
    return { worker, ...this.#open };
  }

  /** Notes whether a request left the worker alive. */
  note(failure: WorkerFailure | undefined): void {
    if (!failure) this.#lost = 0;
    else if (failure.workerEnded) this.#lost++;
  }

  /** Ends the worker at once. */
  kill(): void {
    this.#worker?.kill();
  }

  async close(): Promise<void> {
    await this.#worker?.close();
    this.#worker = undefined;
  }
}

/** One problem open on one device. */
export class Workbench {
  constructor(readonly slot: WorkerSlot, readonly request: OpenRequest) {}

  /** Opens the problem on the device and says what the device is. */
  async open(): Promise<OpenReply> {
    return (await this.slot.worker(this.request)).reply;
  }

  /**
   * Compiles, runs and checks a config.
   *
   * @throws {WorkerFailure} With the outcome of whatever went wrong.
   */
  async try(config: Config): Promise<TryReply> {
    return await this.#counted(async () => {
      const { worker, built } = await this.slot.worker(this.request);
      const reply = await worker.request({ op: "try", config });
      built.add(configKey(config));
      return reply;
    });
  }

  /** Starts to compile configs that will be tried soon. A failure is told when they are. */
  async prepare(configs: readonly Config[]): Promise<void> {
    if (configs.length === 0) return;
    try {
      const { worker } = await this.slot.worker(this.request);
      await worker.request({ op: "prepare", configs });
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error;
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

  /** Frees a config's program. A worker that is lost has freed it already. */
  async drop(config: Config): Promise<void> {
    try {
      const { worker, built } = await this.slot.worker(this.request);
      if (built.delete(configKey(config))) await worker.request({ op: "drop", configs: [config] });
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error;
    }
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.slot.note(undefined);
      return result;
    } catch (error) {
      if (error instanceof WorkerFailure) this.slot.note(error);
      throw error;
    }
  }
}
