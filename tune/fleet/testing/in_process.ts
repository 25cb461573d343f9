/** A fleet inside a test's own process, over one Redis. */
import type { Log } from "../../schedule/log.ts";
import { GracefulStop } from "../../schedule/graceful_stop.ts";
import { collect, type Collected } from "../collect.ts";
import { Fleet } from "../fleet.ts";
import { connect } from "../redis.ts";
import { type FleetWorkerOptions, runFleetWorker } from "../worker.ts";
import type { Event } from "./processes.ts";

/** Opens a fleet. */
export async function openFleet(url: string): Promise<Fleet> {
  return new Fleet(await connect({ url }), "test");
}

/** A worker that goes on until disposed. */
export class WorkerInProcess implements AsyncDisposable {
  readonly events: Event[] = [];
  readonly #stop = new GracefulStop();
  readonly #ended: Promise<void>;
  #waiting: (() => void)[] = [];

  constructor(options: Omit<FleetWorkerOptions, "stop" | "log" | "takeoverSeconds" | "host">) {
    const log: Log = (event, facts) => {
      this.events.push({ event, ...facts });
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
    this.#ended = runFleetWorker({
      lock: () => ({ [Symbol.dispose]: () => {} }),
      ...options,
      host: "test",
      takeoverSeconds: 30,
      stop: this.#stop,
      log,
    });
  }

  /** Resolves once there are so many events of this name. */
  async reaching(name: string, count = 1): Promise<Event[]> {
    while (true) {
      const found = this.events.filter(({ event }) => event === name);
      if (found.length >= count) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.request();
    await this.#ended;
    this.#stop[Symbol.dispose]();
  }
}

/** Collects what is finished, and has winners checked. */
export async function collected(fleet: Fleet, resultsDir: string): Promise<Collected> {
  using stop = new GracefulStop();
  return await collect({ fleet, resultsDir, crossCheck: true, follow: false, stop, log: () => {} });
}
