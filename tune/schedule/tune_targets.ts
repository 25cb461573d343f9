/**
 * Tunes targets unattended: a sweep whose results are handed back rather than written, so that the caller decides what
 * becomes of them.
 *
 * @module
 */
import type { Backends } from "../backends.ts";
import { commandLine } from "../commands/sweep.ts";
import type { CandidateRow, Journal } from "../journal.ts";
import type { Plan } from "../plan/plan.ts";
import { settingsOf, type Target } from "../plan/targets.ts";
import { sweep, type SweepReport } from "../sweep.ts";
import type { GracefulStop } from "./graceful_stop.ts";

/** How targets are tuned. */
export interface TuneOptions {
  readonly search: Plan["search"];
  /** Position in the backend's list of devices. */
  readonly device: number;
  readonly budgetSeconds: number;
  readonly backends: Backends;
  readonly journal: Journal;
  readonly stop: GracefulStop;
  /** Hears of each candidate once its row is in the journal. */
  readonly onCandidate?: (row: CandidateRow) => void;
}

/**
 * Tunes targets that differ in their context alone. Rows of the report are in the order of the targets; a stop leaves the
 * last ones out.
 *
 * @throws {FailureError} Where the device cannot be opened, or a stop came before it was.
 * @throws {UsageError} Where the problem or the space cannot be.
 */
export async function tuneTargets(
  targets: readonly [Target, ...Target[]],
  { search, device, budgetSeconds, backends, journal, stop, onCandidate }: TuneOptions,
): Promise<SweepReport> {
  const resultsDir = Deno.makeTempDirSync({ prefix: "kvtune-" });
  try {
    const settings = settingsOf(targets, { search, device, budgetSeconds, resultsDir });
    return await sweep({ ...settings, command: commandLine(settings) }, {
      journal,
      backends,
      signal: stop.signal,
      observer: {
        progress(_task, { last }) {
          if (last) onCandidate?.(last);
          stop.pause();
        },
        taskEnded: () => stop.pause(),
      },
    });
  } finally {
    Deno.removeSync(resultsDir, { recursive: true });
  }
}
