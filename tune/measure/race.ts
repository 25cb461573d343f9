/**
 * The last word on a task: finalists and the baseline race, and the winner's claim is measured anew.
 *
 * 1. {@linkcode eliminate} finds the fastest. What cannot be told from it are ties, named as such, and the choice among them
 *    does not depend on the order of measuring.
 * 2. Whoever won among many, looked at many times, looks faster than it is. So its speed-up comes from fresh rounds with
 *    the baseline alone, as many as its interval needs, decided before the first of them. The winner replaces the baseline
 *    only where that interval excludes 1 by more than the device's A/A bias.
 * 3. Its output is checked again: a kernel that is right once and wrong later has no time.
 *
 * @module
 */
import type { DeviceReadings } from "../../kernels/devices/device.ts";
import type { Check } from "../../kernels/kernel.ts";
import { type Config, configKey } from "../../kernels/space.ts";
import type { Outcome } from "../worker/protocol.ts";
import { firstLine } from "../errors.ts";
import { WorkerFailure } from "../worker/host.ts";
import { type Claim, claimRounds, FEWEST_ROUNDS, measureClaim } from "./claim.ts";
import { eliminate, RESOLUTION, type Runner } from "./elimination.ts";
import type { Noise } from "./noise.ts";
import { type Interval, logRatios, median, medianInterval, robustDeviation } from "./statistics.ts";
import { type TimeConfigs, Timekeeper } from "./timekeeper.ts";

/** A config that was checked and may race. */
export interface Entrant {
  readonly config: Config;
  readonly relError?: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly workspaceBytes: number;
}

/** A finalist that raced and failed. */
export interface Dropout {
  readonly config: Config;
  readonly outcome: Outcome;
  readonly message: string;
}

/** What a race decided. Times in µs. */
export interface Verdict {
  readonly chosen: "tuned" | "baseline";
  readonly config: Config;
  /** Median time, and its 95 % interval. */
  readonly us: number;
  readonly interval: Interval;
  /** Rounds that the claim rests on. */
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
  /** The A/A noise floor, as a share, where it was measured. */
  readonly noiseFloor?: number;
  /** Finalists that failed in the race. */
  readonly dropouts: readonly Dropout[];
  /** Samples that the race and the claim took in all. */
  readonly raceSamples: number;
  readonly date: string;
  /** What the device said of itself after the last round, and what spoke against any of them. */
  readonly readings?: DeviceReadings["values"];
  readonly warnings?: readonly string[];
}

/** What a race needs. */
export interface RaceOptions {
  readonly baseline: Entrant & { readonly noise?: Noise };
  readonly finalists: readonly Entrant[];
  readonly time: TimeConfigs;
  /** Checks a config's output again, where it can be. */
  readonly check?: (config: Config) => Promise<Check>;
  /** No new rounds after this time, in ms of `performance.now()`; the first ones are always run. */
  readonly until: number;
  readonly signal: AbortSignal;
}

/** What is known once the race and the claim are over. */
interface Outcomes {
  /** The winner and what it can claim, where anybody beat the baseline in the race. */
  readonly claimed?: Claim & { readonly entrant: Entrant };
  /** Finalists that were within the resolution of the fastest at the end. */
  readonly close: readonly Entrant[];
  /** µs of the baseline in the race. */
  readonly baselineUs: readonly number[];
  readonly decided: boolean;
}

/**
 * Runs the race.
 *
 * @throws {WorkerFailure} Where the baseline cannot be timed.
 */
export async function race(options: RaceOptions): Promise<Verdict> {
  const { baseline, until, signal } = options;
  const { noise } = baseline;
  const keeper = new Timekeeper(options.time);
  const dropouts: Dropout[] = [];
  // The claim needs time too: the race leaves enough for the fewest rounds.
  const goOn = () => !signal.aborted && performance.now() + 2 * FEWEST_ROUNDS * keeper.msPerSample < until;
  const { claimed, close, decided, ...raced } = await contest(options, keeper, dropouts, goOn);

  const tuned = claimed !== undefined && claimed.interval[0] > 1 + (noise?.bias ?? 0) ? claimed : undefined;
  const baselineUs = claimed?.baselineUs ?? await alone(raced.baselineUs, baseline, keeper, goOn);
  const entrant = tuned?.entrant ?? baseline;
  const samples = tuned?.us ?? baselineUs;
  const { median: us, interval } = medianInterval(samples);
  const warnings = [
    ...keeper.warnings,
    ...dropouts.map(({ config, outcome, message }) =>
      `dropped in the race: ${configKey(config)}: ${outcome}: ${message}`
    ),
    ...(decided ? [] : ["undecided: time ran out before the race was over"]),
  ];
  return {
    chosen: tuned ? "tuned" : "baseline",
    config: entrant.config,
    us,
    interval,
    samples: samples.length,
    baselineConfig: baseline.config,
    baselineUs: median([...baselineUs]),
    speedup: tuned?.speedup ?? 1,
    speedupInterval: tuned?.interval ?? [1, 1],
    relError: entrant.relError ?? NaN,
    errors: entrant.errors,
    workspaceBytes: entrant.workspaceBytes,
    ties: tuned ? close.filter((tie) => tie !== entrant && tie !== baseline).map(({ config }) => config) : [],
    ...(noise && { noiseFloor: noise.floor }),
    dropouts,
    raceSamples: keeper.samples,
    date: new Date().toISOString(),
    ...(keeper.readings && { readings: keeper.readings }),
    ...(warnings.length > 0 && { warnings }),
  };
}

/** Races until a winner could be timed and checked once more, or the baseline is as fast as any. */
async function contest(
  { baseline, finalists, check, until, signal }: RaceOptions,
  keeper: Timekeeper,
  dropouts: Dropout[],
  goOn: () => boolean,
): Promise<Outcomes> {
  const run = (runners: readonly Runner<Entrant>[], rounds: number) =>
    timed(runners, rounds, keeper, baseline, dropouts);
  const roundsAtOnce = (contenders: number) => keeper.roundsAtOnce(contenders);
  while (true) {
    // Those who lost to a dropout lost to nothing: they race again, without it.
    const field = finalists.filter(({ config }) => !dropouts.some((dropout) => dropout.config === config));
    if (field.length === 0) return { close: [], baselineUs: [], decided: true };
    const { finishers, runners, decided } = await eliminate({
      entrants: [baseline, ...field],
      run,
      roundsAtOnce,
      goOn,
    });
    const baselineUs = runners[0].samples;
    const close = finishers.filter(({ behind }) => behind <= RESOLUTION).map(({ entrant }) => entrant);
    const winner = choice(finishers, baseline);
    if (winner.entrant === baseline || signal.aborted) return { close, baselineUs, decided };
    const ratios = logRatios(baselineUs, winner.samples);
    const deviation = ratios.length >= FEWEST_ROUNDS ? robustDeviation(ratios) : baseline.noise?.deviation ?? 0;
    const { entrant } = winner;
    const drop = (outcome: Outcome, message: string) => dropouts.push({ config: entrant.config, outcome, message });
    try {
      const rounds = claimRounds(deviation, (until - performance.now()) / (2 * keeper.msPerSample));
      const claim = await measureClaim(baseline.config, entrant.config, rounds, keeper);
      const checked = await check?.(entrant.config);
      if (checked?.ok !== false) return { claimed: { ...claim, entrant }, close, baselineUs, decided };
      drop("wrong", checked.why ?? `relative error ${checked.relError}`);
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error;
      drop(error.outcome, firstLine(error));
    }
  }
}

/** Of those that no sample tells from the first: the baseline, else the least workspace, else the first by name. */
function choice(finishers: readonly (Runner<Entrant> & { behind: number })[], baseline: Entrant): Runner<Entrant> {
  // Half the resolution: with what the intervals leave open, no choice among these costs more than the whole.
  const tied = finishers.filter(({ behind }) => behind <= RESOLUTION / 2);
  return tied.find(({ entrant }) => entrant === baseline) ??
    tied.sort(({ entrant: a }, { entrant: b }) =>
      a.workspaceBytes - b.workspaceBytes || (configKey(a.config) < configKey(b.config) ? -1 : 1)
    )[0];
}

/** Adds rounds to the runners. Where that fails, finds who is to blame by timing each alone, and names them. */
async function timed(
  runners: readonly Runner<Entrant>[],
  rounds: number,
  keeper: Timekeeper,
  baseline: Entrant,
  dropouts: Dropout[],
): Promise<readonly Entrant[]> {
  const add = async (among: readonly Runner<Entrant>[]) => {
    const samples = await keeper.time(among.map(({ entrant }) => entrant.config), rounds);
    among.forEach((runner, i) => runner.samples.push(...samples[i]));
  };
  try {
    await add(runners);
    return [];
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
  }
  const failed: Entrant[] = [];
  for (const { entrant } of runners) {
    try {
      await keeper.time([entrant.config], 1);
    } catch (error) {
      if (!(error instanceof WorkerFailure) || entrant === baseline) throw error;
      dropouts.push({ config: entrant.config, outcome: error.outcome, message: firstLine(error) });
      failed.push(entrant);
    }
  }
  await add(runners.filter(({ entrant }) => !failed.includes(entrant)));
  return failed;
}

/** The baseline's own times where nobody claims to beat it: rested ones, or the race's where there is no time left. */
async function alone(
  known: readonly number[],
  { config }: Entrant,
  keeper: Timekeeper,
  goOn: () => boolean,
): Promise<readonly number[]> {
  if (known.length > 0 && !goOn()) return known;
  return (await keeper.time([config], FEWEST_ROUNDS, { rested: true }))[0];
}
