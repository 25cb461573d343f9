/**
 * Asks a device for samples, in requests of a bounded size, and keeps what it says of itself meanwhile.
 *
 * @module
 */
import type { DeviceReadings } from "../../kernels/devices/device.ts";
import type { Config } from "../../kernels/space.ts";
import type { TimeReply } from "../worker/protocol.ts";

/** µs of each config in so many interleaved rounds, and what the device said of itself after them. */
export type TimeConfigs = (configs: readonly Config[], rounds: number) => Promise<TimeReply>;

/** Samples in one request at the most: a request has a time limit, and a stopped tuner waits for one to end. */
const MAX_REQUEST = 400;

/** Times configs, and counts. */
export class Timekeeper {
  readonly #time: TimeConfigs;
  readonly #warnings = new Set<string>();
  #ms = 0;
  /** Samples taken so far. */
  samples = 0;
  /** What the device said of itself last. */
  readings: DeviceReadings["values"] | undefined;

  constructor(time: TimeConfigs) {
    this.#time = time;
  }

  /** What a sample has cost, wall-clock, so far. */
  get msPerSample(): number {
    return this.samples === 0 ? 0 : this.#ms / this.samples;
  }

  /** What spoke against any of the samples. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** µs of each config, `rounds` of them, interleaved. */
  async time(configs: readonly Config[], rounds: number): Promise<number[][]> {
    const taken: number[][] = configs.map(() => []);
    const most = Math.max(1, Math.floor(MAX_REQUEST / configs.length));
    for (let left = rounds; left > 0; left -= most) {
      const started = performance.now();
      const { samples, readings } = await this.#time(configs, Math.min(left, most));
      this.#ms += performance.now() - started;
      this.samples += samples.reduce((sum, row) => sum + row.length, 0);
      this.readings = readings?.values ?? this.readings;
      readings?.warnings.forEach((warning) => this.#warnings.add(warning));
      samples.forEach((row, i) => taken[i].push(...row));
    }
    return taken;
  }
}
