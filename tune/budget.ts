/**
 * How a sweep's budget is spread over its tasks.
 *
 * Time goes where it promises most. The first task of a sweep starts from nothing and gets more than the others, which
 * start from their neighbours' best. A task whose search promises nothing more ends early, and what it leaves goes to those
 * after it.
 *
 * @module
 */

/** The first task's share, in shares of the others. */
const FIRST = 2;

/** A search whose proposals promise less than this share of the best cost, so many times in a row, is settled. */
const WORTHWHILE = 5e-4;
const IN_A_ROW = 12;

/** Time for a task, in ms. @param index Of the task among `tasks`. @param leftMs Of the whole sweep. */
export function taskMs(index: number, tasks: number, leftMs: number): number {
  const own = index === 0 ? FIRST : 1;
  return Math.max(0, leftMs) * own / (own + tasks - index - 1);
}

/** Evaluations and compiles of a whole sweep. */
export class Budget {
  #evaluations: number;
  #compiles: number;

  constructor({ evaluations = Infinity, compiles = Infinity }: { evaluations?: number; compiles?: number } = {}) {
    this.#evaluations = evaluations;
    this.#compiles = compiles;
  }

  /** True where a further candidate would exceed it. */
  get spent(): boolean {
    return this.#evaluations <= 0 || this.#compiles <= 0;
  }

  /** Counts a candidate and its compiles. */
  note(compiles: number): void {
    this.#evaluations--;
    this.#compiles -= compiles;
  }
}

/** Notices when a search promises nothing more. */
export class Settled {
  #poor = 0;

  /** True where this and the proposals before it promised too little. @param gain As the strategy says it, if it does. */
  after(gain: number | undefined): boolean {
    this.#poor = gain !== undefined && gain < WORTHWHILE ? this.#poor + 1 : 0;
    return this.#poor >= IN_A_ROW;
  }
}
