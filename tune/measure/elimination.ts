/**
 * Finds the fastest of several configs to within 1 %, at a chance of error below 5 %, with as few rounds as that takes.
 *
 * All that are left are timed in turn, round by round, and looked at after 5, 10, 15, 22, … rounds. At a look the leader is
 * compared with each of the others by the ratios of their rounds:
 *
 * - one whose interval lies wholly behind the leader's is dropped (a race: Maron & Moore, Hoeffding Races, NIPS 1993);
 * - where no interval reaches more than 1 % ahead of the leader, the race is over (the stopping rule of LUCB:
 *   Kalyanakrishnan et al., PAC Subset Selection in Stochastic Multi-armed Bandits, ICML 2012).
 *
 * Many looks at many contenders would find differences by chance alone. So each interval gets the share α/(k·j·(j+1)) of
 * the error α = 5 %, for k contenders and the j-th look: over all looks the shares sum to α (Even-Dar, Mannor & Mansour,
 * Action Elimination and Stopping Conditions, JMLR 2006).
 *
 * @module
 */
import { type Config, configKey } from "../../kernels/space.ts";
import { logRatios } from "./statistics.ts";
import { trimmedInterval } from "./trimmed.ts";

/** The chance that the winner is not within {@linkcode RESOLUTION} of the best. */
const ALPHA = 0.05;

/** Differences below this share are not worth more rounds. */
export const RESOLUTION = 0.01;

/** Rounds up to the first look, and at the most. */
const FIRST = 5;
const MAX_ROUNDS = 500;

/** Each look comes after this many times the rounds of the last. */
const GROWTH = 1.5;

/** One who is still in the race, or was. */
export interface Runner<E> {
  readonly entrant: E;
  /** µs, a round each; those who were dropped have fewer. */
  readonly samples: number[];
}

/** How a race ended. */
export interface Standing<E> {
  /** All who ran to the end, the fastest first, with how much slower than the first each is (0.01 is 1 %). */
  readonly finishers: readonly (Runner<E> & { readonly behind: number })[];
  /** Everybody. */
  readonly runners: readonly Runner<E>[];
  /** False where time ran out first. */
  readonly decided: boolean;
}

/** What a race among `E` needs. */
export interface EliminationOptions<E> {
  /** Two or more. */
  readonly entrants: readonly E[];
  /** Adds µs of each in so many interleaved rounds; those whom it gives back could not be timed and leave the race. */
  readonly run: (runners: readonly Runner<E>[], rounds: number) => Promise<readonly E[]>;
  /** Rounds of so many that one request takes. */
  readonly roundsAtOnce: (contenders: number) => number;
  /** Whether there is time for more. */
  readonly goOn: () => boolean;
}

/** Runs the race. */
export async function eliminate<E extends { readonly config: Config }>(
  { entrants, run, roundsAtOnce, goOn }: EliminationOptions<E>,
): Promise<Standing<E>> {
  const runners = entrants.map((entrant): Runner<E> => ({ entrant, samples: [] }));
  const contenders = Math.max(1, entrants.length - 1);
  let running = runners;
  let rounds = 0;
  for (let look = 1, target = FIRST; running.length > 1; look++, target = Math.ceil(target * GROWTH)) {
    if (rounds >= MAX_ROUNDS) return { ...standing(running, runners), decided: true };
    while (rounds < Math.min(target, MAX_ROUNDS)) {
      if (rounds > 0 && !goOn()) return { ...standing(running, runners), decided: false };
      const step = Math.min(target - rounds, MAX_ROUNDS - rounds, roundsAtOnce(running.length));
      const failed = await run(running, step);
      running = running.filter(({ entrant }) => !failed.includes(entrant));
      rounds += step;
    }
    const leader = ranked(running)[0].runner;
    const alpha = ALPHA / (contenders * look * (look + 1));
    const compared = running.map((runner) => ({
      runner,
      ...(runner === leader ? { mean: 0, half: 0 } : trimmedInterval(logRatios(runner.samples, leader.samples), alpha)),
    }));
    const left = compared.filter(({ mean, half }) => mean - half <= 0);
    running = left.map(({ runner }) => runner);
    if (left.every(({ mean, half }) => mean - half >= -Math.log1p(RESOLUTION))) break;
  }
  return { ...standing(running, runners), decided: true };
}

/** The fastest first, by the trimmed mean of their logarithms. */
function ranked<E extends { readonly config: Config }>(
  running: readonly Runner<E>[],
): { runner: Runner<E>; mean: number }[] {
  // Paired with one and the same runner, so that drift cancels.
  const [{ samples }] = running;
  return running
    .map((runner) => ({ runner, mean: trimmedInterval(logRatios(runner.samples, samples), 0.5).mean }))
    .sort((a, b) =>
      a.mean - b.mean || (configKey(a.runner.entrant.config) < configKey(b.runner.entrant.config) ? -1 : 1)
    );
}

function standing<E extends { readonly config: Config }>(running: readonly Runner<E>[], runners: readonly Runner<E>[]) {
  const order = ranked(running);
  const finishers = order.map(({ runner, mean }) => ({ ...runner, behind: Math.expm1(mean - order[0].mean) }));
  return { finishers, runners };
}
