/**
 * Who races: every candidate whose few rounds of the search leave it a chance to be the best.
 *
 * @module
 */
import { median } from "simple-statistics";
import { logRatios, robustDeviation } from "./statistics.ts";

/** Finalists at the least: the search's rounds are few. And at the most: a race of many takes long. */
const FEWEST = 4;
const MOST = 24;

/** Scratch memory that those beyond the fewest may add up to: all who race are in the device's memory at once. */
const WORKSPACE_BYTES = 2e9;

/** Standard errors that a candidate may have been unlucky by. */
const UNLUCKY = 3;

/** A candidate as the search measured it. */
export interface Searched {
  /** Time as a share of the baseline's; absent where the candidate failed. */
  readonly cost?: number;
  readonly samples: readonly number[];
  readonly baselineSamples: readonly number[];
  readonly workspaceBytes: number;
}

/** The centre of a candidate's time as a share of the baseline's, paired by rounds. */
export function costOf(samples: readonly number[], baselineSamples: readonly number[]): number {
  return Math.exp(median(logRatios(samples, baselineSamples)));
}

/** Those whose interval reaches the best one's, the fastest first: 4 to 24 of them, as far as they fit into memory. */
export function finalistsOf<R extends Searched>(rows: Iterable<R>): R[] {
  const timed = [...rows].filter((row) => row.cost !== undefined).sort((a, b) => a.cost! - b.cost!);
  const deviation = pooledDeviation(timed);
  const error = ({ samples }: R) => UNLUCKY * 1.2533 * deviation / Math.sqrt(Math.max(1, samples.length));
  const reach = Math.min(...timed.map((row) => row.cost! * Math.exp(error(row))));
  let bytes = 0;
  const races = (row: R, i: number) =>
    i < FEWEST || (row.cost! * Math.exp(-error(row)) <= reach && (bytes += row.workspaceBytes) <= WORKSPACE_BYTES);
  return timed.filter(races).slice(0, MOST);
}

/** The deviation of one round's log ratio: noise is the device's, so all candidates tell of it together. */
function pooledDeviation(rows: readonly Searched[]): number {
  const residuals = rows.filter(({ samples }) => samples.length >= 3).flatMap(({ samples, baselineSamples }) => {
    const ratios = logRatios(samples, baselineSamples);
    const centre = median(ratios);
    // The median of n is itself one of few: residuals from it are short by about this.
    return ratios.map((ratio) => (ratio - centre) * Math.sqrt(ratios.length / (ratios.length - 1)));
  });
  return residuals.length === 0 ? 0 : robustDeviation(residuals);
}
