/**
 * The last word on a task: finalists and the baseline are timed in turn, round by round, and compared pairwise.
 *
 * A finalist leaves the race when its interval lies wholly below the leader's. The winner replaces the baseline only where
 * the 95 % interval of its speed-up excludes 1. Finalists that the samples cannot tell apart are ties, named as such, and
 * the choice among them does not depend on the order of measuring.
 *
 * @module
 */
import type { DeviceReadings } from "../../kernels/devices/device.ts";
import { type Config, configKey } from "../../kernels/space.ts";
import type { TimeReply } from "../worker/protocol.ts";
import { type Interval, median, medianInterval, speedup } from "./statistics.ts";

/** Rounds between decisions. */
const STEP = 5;

/** Rounds at the most: beyond this the interval hardly narrows. */
const MAX_ROUNDS = 40;

/** Finalists within this share of the leader tie where their interval allows it. */
const TIE = 0.01;

/** A config that was checked and may race. */
export interface Entrant {
  readonly config: Config;
  readonly relError?: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly workspaceBytes: number;
}

/** What a race decided. Times in µs. */
export interface Verdict {
  readonly chosen: "tuned" | "baseline";
  readonly config: Config;
  /** Median time, and its 95 % interval. */
  readonly us: number;
  readonly interval: Interval;
  readonly samples: number;
  readonly baselineConfig: Config;
  readonly baselineUs: number;
  /** The baseline's time over the chosen config's, paired by rounds, and its 95 % interval. */
  readonly speedup: number;
  readonly speedupInterval: Interval;
  readonly relError: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly workspaceBytes: number;
  /** Further finalists that the samples cannot tell from the chosen one. */
  readonly ties: readonly Config[];
  readonly date: string;
  /** What the device said of itself after the last round, and what spoke against any of them. */
  readonly readings?: DeviceReadings["values"];
  readonly warnings?: readonly string[];
}

/** What a race needs. */
export interface RaceOptions {
  readonly baseline: Entrant;
  readonly finalists: readonly Entrant[];
  /** µs of each config in so many interleaved rounds, and what the device said of itself after them. */
  readonly time: (configs: readonly Config[], rounds: number) => Promise<TimeReply>;
  /** No new rounds after this time, in ms of `performance.now()`; the first ones are always run. */
  readonly until: number;
  readonly signal: AbortSignal;
}

/** Runs the race. */
export async function race({ baseline, finalists, time, until, signal }: RaceOptions): Promise<Verdict> {
  let running = finalists.map((entrant) => ({ entrant, samples: [] as number[] }));
  const base: number[] = [];
  const warnings = new Set<string>();
  let values: DeviceReadings["values"] | undefined;
  while (base.length < MAX_ROUNDS && (base.length === 0 || performance.now() < until) && !signal.aborted) {
    const { samples, readings } = await time([baseline.config, ...running.map(({ entrant }) => entrant.config)], STEP);
    values = readings?.values;
    readings?.warnings.forEach((warning) => warnings.add(warning));
    base.push(...samples[0]);
    running.forEach((runner, i) => runner.samples.push(...samples[i + 1]));
    const leader = Math.max(...running.map((runner) => speedup(base, runner.samples).interval[0]));
    running = running.filter((runner) => speedup(base, runner.samples).interval[1] >= leader);
  }
  const ranked = running
    .map((runner) => ({ ...runner, ...speedup(base, runner.samples) }))
    .sort((a, b) => b.median - a.median);
  const tied = ranked.filter((runner) => {
    const ratio = speedup(runner.samples, ranked[0].samples);
    return ratio.median <= 1 + TIE && ratio.interval[0] <= 1;
  }).sort((a, b) =>
    a.entrant.workspaceBytes - b.entrant.workspaceBytes ||
    (configKey(a.entrant.config) < configKey(b.entrant.config) ? -1 : 1)
  );
  const winner = tied.at(0);
  const tuned = winner !== undefined && winner.interval[0] > 1;
  const { entrant, samples } = tuned ? winner : { entrant: baseline, samples: base };
  const own = medianInterval(samples);
  return {
    chosen: tuned ? "tuned" : "baseline",
    config: entrant.config,
    us: own.median,
    interval: own.interval,
    samples: samples.length,
    baselineConfig: baseline.config,
    baselineUs: median(base),
    speedup: tuned ? winner.median : 1,
    speedupInterval: tuned ? winner.interval : [1, 1],
    relError: entrant.relError ?? NaN,
    errors: entrant.errors,
    workspaceBytes: entrant.workspaceBytes,
    ties: tuned ? tied.slice(1).map((runner) => runner.entrant.config) : [],
    date: new Date().toISOString(),
    ...(values && { readings: values }),
    ...(warnings.size > 0 && { warnings: [...warnings] }),
  };
}
