/**
 * The drift check: a stored winner is checked and timed beside the baseline again. The ratio of the two is what is
 * compared with the record, since clocks and neighbours move both times alike.
 *
 * @module
 */
import type { Config, Evidence } from "../../results/mod.ts";
import { type Interval, speedup } from "../measure/statistics.ts";
import { WorkerFailure } from "../worker/host.ts";
import type { Workbench } from "../workbench.ts";

/** Rounds of a drift check: enough for an interval, few enough to be cheap beside a search. */
const ROUNDS = 10;
const SAMPLE_US = 2000;

/** What a drift check found. */
export interface Verification {
  /** False where the stored entry no longer holds. */
  readonly holds: boolean;
  /** In one line: "1.42× as recorded", "1.42× → 1.10×", "wrong: …". */
  readonly detail: string;
  /** The winner's speed-up over the baseline now, and its 95 % interval. */
  readonly speedup?: number;
  readonly speedupInterval?: Interval;
}

/** An entry of a results file. */
export interface StoredEntry {
  readonly config: Config;
  readonly evidence: Evidence;
}

/**
 * Measures a stored entry again. It holds where its config still runs, is right, and its speed-up over the recorded
 * baseline is the recorded one within `tolerance`, or cannot be told from it.
 *
 * @param tolerance A share of the recorded speed-up.
 */
export async function verifyEntry(
  workbench: Workbench,
  { config, evidence }: StoredEntry,
  tolerance: number,
): Promise<Verification> {
  try {
    for (const [what, tried] of [["the baseline", evidence.baselineConfig], ["the winner", config]] as const) {
      const { check } = await workbench.try(tried);
      if (!check.ok) return { holds: false, detail: `${what} is wrong: ${check.why ?? `error ${check.relError}`}` };
    }
    if (evidence.chosen === "baseline") return { holds: true, detail: "the baseline, still right" };
    const { samples: [base, own] } = await workbench.time([evidence.baselineConfig, config], {
      samples: ROUNDS,
      sampleUs: SAMPLE_US,
      coldCache: evidence.coldCache,
      rested: true, // As the record was made.
    });
    const now = speedup(base, own);
    const [low, high] = [evidence.speedup * (1 - tolerance), evidence.speedup * (1 + tolerance)];
    const holds = now.interval[1] >= low && now.interval[0] <= high;
    const detail = `${evidence.speedup.toFixed(2)}× → ${now.median.toFixed(2)}×`;
    return { holds, detail, speedup: now.median, speedupInterval: now.interval };
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
    return { holds: false, detail: `${error.outcome}: ${error.message}` };
  }
}
