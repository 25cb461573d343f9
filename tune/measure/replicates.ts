/**
 * What several processes' measurements of the same things say together.
 *
 * A process differs from the next by more than its own rounds show: memory lies elsewhere, clocks were granted anew. So a
 * value is modelled as *entry + process + rounds* (a random-effects model, after Kalibera & Jones, Rigorous Benchmarking
 * in Reasonable Time, ISMM 2013), of logarithms: y = μ + b + e, where b has the deviation τ between processes, and e the
 * deviation w that the process's own interval shows.
 *
 * Two processes an entry say next to nothing of τ, so all entries of a file say it together:
 *
 *     s² = Σᵢ Σⱼ (yᵢⱼ − ȳᵢ)² / ν,  ν = Σᵢ (nᵢ − 1),  τ² = max(0, s² − mean of w²)
 *
 * and the interval of an entry that n processes measured is
 *
 *     exp(ȳ ± √((t τ)² (1 + 1/n) + (1.96/n)² Σ w²)),  t: Student's 97.5 % quantile with ν degrees of freedom.
 *
 * The 1 in 1 + 1/n is the process to come: the interval is that in which its value lies, since what users get, and what
 * `tune verify` compares, is one more process and not the mean of all.
 *
 * Part of b is common to all entries that a process measures: another card of the model, another temperature. Two
 * processes that happen to agree in it then make all of a file's intervals too narrow, however many entries it has. So
 * where there are other files of the device, τ and ν are {@linkcode moderated} by theirs.
 *
 * @module
 */
import { studentQuantile } from "./trimmed.ts";
import type { Interval } from "./statistics.ts";

/** Deviations in half of a 95 % interval. */
const Z = 1.96;

/** Student's 97.5 % quantile for 1 and 2 degrees of freedom, where the series for more is far off. */
const FEW_DEGREES = [12.706, 4.303];

/** A value above 0 in one process, and the 95 % interval that its rounds leave open. */
export interface ProcessValue {
  readonly value: number;
  readonly interval: Interval;
}

/** How far processes differ. */
export interface Between {
  /** The deviation τ of one process's logarithm: 0.005 is 0.5 %. */
  readonly deviation: number;
  /** The degrees of freedom ν that it was estimated with. */
  readonly degrees: number;
}

/**
 * The deviation between processes, pooled over entries.
 *
 * @param entries The processes' values of each entry; those with fewer than two have no say.
 * @returns Undefined where no entry has two.
 */
export function betweenProcesses(entries: readonly (readonly ProcessValue[])[]): Between | undefined {
  const repeated = entries.filter((processes) => processes.length >= 2);
  if (repeated.length === 0) return undefined;
  const degrees = repeated.reduce((sum, { length }) => sum + length - 1, 0);
  const squares = repeated.reduce((sum, processes) => {
    const mean = logMean(processes);
    return sum + processes.reduce((total, { value }) => total + (Math.log(value) - mean) ** 2, 0);
  }, 0);
  const all = repeated.flat();
  const within = all.reduce((sum, one) => sum + variance(one), 0) / all.length;
  return { deviation: Math.sqrt(Math.max(0, squares / degrees - within)), degrees };
}

/** Processes that the deviation of a device's other files counts for, at the most. */
const OTHERS_COUNT = 2;

/**
 * A file's own deviation, and the usual one of the device's other files: a mean of variances in which the own one counts
 * for its processes but the first, and theirs for two, and as many degrees of freedom (after Smyth's moderated variances,
 * Statistical Applications in Genetics and Molecular Biology 3, 2004).
 *
 * @param processes That measured the file's entries.
 * @returns `own` where there are no others.
 */
export function moderated(own: Between, processes: number, others: readonly Between[]): Between {
  if (others.length === 0) return own;
  const usual = others.reduce((sum, { deviation }) => sum + deviation ** 2, 0) / others.length;
  const [mine, theirs] = [processes - 1, Math.min(OTHERS_COUNT, others.length)];
  const degrees = mine + theirs;
  return { deviation: Math.sqrt((mine * own.deviation ** 2 + theirs * usual) / degrees), degrees };
}

/** The geometric mean of an entry's processes, and the 95 % interval in which another process's value lies. */
export function acrossProcesses(processes: readonly ProcessValue[], { deviation, degrees }: Between): ProcessValue {
  const n = processes.length;
  const mean = logMean(processes);
  const t = FEW_DEGREES[degrees - 1] ?? studentQuantile(0.975, degrees);
  const within = processes.reduce((sum, one) => sum + variance(one), 0) / n ** 2;
  const half = Math.sqrt((t * deviation) ** 2 * (1 + 1 / n) + Z ** 2 * within);
  return { value: Math.exp(mean), interval: [Math.exp(mean - half), Math.exp(mean + half)] };
}

function logMean(processes: readonly ProcessValue[]): number {
  return processes.reduce((sum, { value }) => sum + Math.log(value), 0) / processes.length;
}

/** Of the logarithm, as the rounds leave it open: an interval this narrow is as wide in logarithms as in shares. */
function variance({ value, interval: [low, high] }: ProcessValue): number {
  return ((high - low) / (2 * Z * value)) ** 2;
}
