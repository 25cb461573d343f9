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
import { median } from "./measure/statistics.ts";
import { WorkerFailure } from "./worker/host.ts";
import type { Workbench } from "./workbench.ts";

/** Rounds in which a candidate is timed beside the baseline during the search. */
const ROUNDS = 5;

/** A candidate whose first round is this many times slower than the best so far gets no further round. */
const HOPELESS = 1.5;

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

/** Checks the baseline; a sweep without one has nothing to compare with. */
export async function tryBaseline({ workbench }: CandidateContext, baseline: Config) {
  const failed = (why: string) => new FailureError(`Cannot measure the baseline (${configKey(baseline)}): ${why}`);
  try {
    const { check } = await retried(() => workbench.try(baseline));
    if (!check.ok) throw failed(check.why ?? `relative error ${check.relError}`);
    return { relError: check.relError, errors: check.errors };
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
    const timed = async (rounds: number) =>
      (await retried(() => workbench.time([baseline, config], { ...options, samples: rounds }))).samples;
    let [baselineSamples, samples] = await timed(1);
    if (samples[0] * bestSpeedup <= HOPELESS * baselineSamples[0]) {
      const more = await timed(ROUNDS - 1);
      [baselineSamples, samples] = [[...baselineSamples, ...more[0]], [...samples, ...more[1]]];
    }
    await workbench.drop(config);
    const cost = median(samples) / median(baselineSamples);
    return { ...facts, outcome: "ok", cost, samples, baselineSamples, ...spent() };
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
    return { ...failedRow(context, config, error.outcome, error.message), ...spent() };
  }
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

/** A worker may die of something else than its candidate: a crash counts when it happens twice. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WorkerFailure && error.outcome === "crash") return await work();
    throw error;
  }
}
