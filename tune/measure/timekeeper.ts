/**
 * Asks a device for samples, in requests of a bounded size, and keeps what it says of itself meanwhile.
 *
 * @module
 */
import type { DeviceReadings } from "../../kernels/devices/device.ts";
import type { Config } from "../../kernels/space.ts";
import type { TimeReply } from "../worker/protocol.ts";

/**
 * µs of each config in so many interleaved rounds, and what the device said of itself after them.
 *
 * @param rested Whether the device should be left idle first, where its backend can.
 */
export type TimeConfigs = (configs: readonly Config[], rounds: number, rested?: boolean) => Promise<TimeReply>;

/** A request at the most: it has a time limit, and whoever waits for an end waits for one. */
const MAX_SAMPLES = 400;
const MAX_MS = 2000;

/** Times configs, and counts. */
export class Timekeeper {
  readonly #time: TimeConfigs;
  readonly #warnings = new Set<string>();
  #ms = 0;
  #counted = 0;
  /** Samples taken so far. */
  samples = 0;
  /** What the device said of itself last. */
  readings: DeviceReadings["values"] | undefined;

  constructor(time: TimeConfigs) {
    this.#time = time;
  }

  /** What a sample has cost, wall-clock, so far. Rested ones do not count: most of their time is rest. */
  get msPerSample(): number {
    return this.#counted === 0 ? 0 : this.#ms / this.#counted;
  }

  /** What spoke against any of the samples. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** Rounds of so many configs in one request: one, as long as nobody knows how long they take. */
  roundsAtOnce(configs: number): number {
    const samples = this.#counted === 0 ? 1 : Math.min(MAX_SAMPLES, MAX_MS / Math.max(this.msPerSample, 1e-3));
    return Math.max(1, Math.floor(samples / configs));
  }

  /** µs of each config, `rounds` of them, interleaved; each request of a device that rested first where `rested`. */
  async time(configs: readonly Config[], rounds: number, { rested = false } = {}): Promise<number[][]> {
    const taken: number[][] = configs.map(() => []);
    while (taken[0].length < rounds) {
      const started = performance.now();
      const most = this.roundsAtOnce(configs.length);
      const { samples, readings } = await this.#time(configs, Math.min(rounds - taken[0].length, most), rested);
      const count = samples.reduce((sum, row) => sum + row.length, 0);
      this.samples += count;
      if (!rested) {
        this.#ms += performance.now() - started;
        this.#counted += count;
      }
      this.readings = readings?.values ?? this.readings;
      readings?.warnings.forEach((warning) => this.#warnings.add(warning));
      samples.forEach((row, i) => taken[i].push(...row));
    }
    return taken;
  }
}
