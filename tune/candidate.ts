/**
 * One candidate: compiled, checked, timed beside the baseline. Whatever becomes of it is a row.
 *
 * @module
 */
import type { DeviceInfo, TimeOptions } from "../kernels/devices/device.ts";
import type { Implementation } from "../kernels/kernel.ts";
import { type Config, configKey } from "../kernels/space.ts";
import { FailureError } from "./errors.ts";
import type { CandidateRow } from "./journal.ts";
import { costOf } from "./measure/finalists.ts";
import { measureNoise } from "./measure/noise.ts";
import { Timekeeper } from "./measure/timekeeper.ts";
import { WorkerFailure } from "./worker/host.ts";
import type { Workbench } from "./workbench.ts";

/** Rounds in which a candidate is timed beside the baseline during the search: at first, and at the most. */
const FIRST_ROUNDS = 3;
const MOST_ROUNDS = 7;

/** A candidate that is this close to the best, as a share, is known well enough for the search. */
const CLOSE_ENOUGH = 0.01;

/** Samples of the search: long enough to resolve a microsecond's kernel, short enough for hundreds of candidates. */
export const SAMPLE_US = 1000;

/** What a candidate is measured with. */
export interface CandidateContext {
  readonly implementation: Implementation<unknown>;
  readonly problem: unknown;
  readonly device: DeviceInfo;
  readonly workbench: Workbench;
  readonly coldCache: boolean;
}

/** Checks the baseline and times it against itself; a sweep without a baseline has nothing to compare with. */
export async function tryBaseline({ workbench, coldCache }: CandidateContext, baseline: Config) {
  const failed = (why: string) => new FailureError(`Cannot measure the baseline (${configKey(baseline)}): ${why}`);
  try {
    const { check } = await retried(() => workbench.try(baseline));
    if (!check.ok) throw failed(check.why ?? `relative error ${check.relError}`);
    workbench.trust(baseline);
    const options = { sampleUs: SAMPLE_US, coldCache };
    const keeper = new Timekeeper((configs, samples) =>
      retried(() => workbench.time(configs, { ...options, samples }))
    );
    const noise = await measureNoise(baseline, keeper);
    workbench.noise = noise;
    return { relError: check.relError, errors: check.errors, noise };
  } catch (error) {
    if (error instanceof WorkerFailure) throw failed(error.message);
    throw error;
  }
}

/** Compiles, checks and times one candidate, interleaved with the baseline. */
export async function measureCandidate(
  context: CandidateContext,
  config: Config,
  baseline: Config,
  bestSpeedup = 0,
): Promise<CandidateRow> {
  const { workbench, implementation, problem, device } = context;
  const started = performance.now();
  const options: TimeOptions = { samples: 1, sampleUs: SAMPLE_US, coldCache: context.coldCache };
  const spent = () => ({ spentMs: performance.now() - started });
  try {
    const { check, compileMs, build } = await retried(() => workbench.try(config));
    const facts = {
      config,
      relError: check.relError,
      errors: check.errors,
      compileMs,
      build,
      workspaceBytes: implementation.workspaceBytes(problem, config, device),
    };
    if (!check.ok) {
      await workbench.drop(config);
      return { ...facts, outcome: "wrong", message: check.why, samples: [], baselineSamples: [], ...spent() };
    }
    const samples: number[] = [];
    const baselineSamples: number[] = [];
    const add = async (rounds: number) => {
      const timed = await retried(() => workbench.time([baseline, config], { ...options, samples: rounds }));
      baselineSamples.push(...timed.samples[0]);
      samples.push(...timed.samples[1]);
    };
    const deviation = workbench.noise?.deviation ?? 0;
    for (let rounds = 1; rounds > 0; rounds = nextRounds(samples, baselineSamples, deviation, bestSpeedup)) {
      await add(rounds);
    }
    await workbench.drop(config);
    const cost = costOf(samples, baselineSamples);
    return { ...facts, outcome: "ok", cost, samples, baselineSamples, ...spent() };
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
    if (error.workerEnded) await workbench.assure(); // A device that is gone is no row.
    return { ...failedRow(context, config, error.outcome, error.message), ...spent() };
  }
}

/** How many more rounds a candidate is worth: 0 once it is known well enough, or known to be no match for the best. */
function nextRounds(
  samples: readonly number[],
  baselineSamples: readonly number[],
  deviation: number,
  bestSpeedup: number,
): number {
  const rounds = samples.length;
  const error = 2 * 1.2533 * deviation / Math.sqrt(rounds); // The half width of a median's 95 % interval.
  // The best is the luckiest of many, so it gets the same error once more.
  const limit = Math.exp(2 * error + CLOSE_ENOUGH) / bestSpeedup;
  // One slow round can be an accident. Two are none; of more, the median tells.
  const noMatch = rounds < 3
    ? samples.every((us, round) => us > limit * baselineSamples[round])
    : costOf(samples, baselineSamples) > limit;
  if (rounds === 1) return noMatch ? 1 : FIRST_ROUNDS - 1;
  if (noMatch || rounds >= MOST_ROUNDS) return 0;
  if (rounds < FIRST_ROUNDS) return FIRST_ROUNDS - rounds;
  return error <= CLOSE_ENOUGH ? 0 : Math.min(2, MOST_ROUNDS - rounds);
}

/** The row of a candidate that has no times. */
export function failedRow(
  { implementation, problem, device }: CandidateContext,
  config: Config,
  outcome: CandidateRow["outcome"],
  message: string,
): CandidateRow {
  const workspaceBytes = implementation.workspaceBytes(problem, config, device);
  return {
    config,
    outcome,
    message,
    samples: [],
    baselineSamples: [],
    errors: {},
    build: {},
    workspaceBytes,
    spentMs: 0,
  };
}

/** A worker may die, or lose its device, for something else than its candidate: that counts when it happens twice. */
export async function retried<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const accident = error instanceof WorkerFailure && (error.outcome === "crash" || error.outcome === "lost");
    if (accident) return await work();
    throw error;
  }
}
