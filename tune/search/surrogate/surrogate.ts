/**
 * The surrogate: what a Gaussian process and the kernel's own cost model say of candidates, together.
 *
 * The cost model, where there is one, is the process's mean, as far as the observations bear it out: its logarithm is scaled
 * by the slope of a regression, so that a model that says nothing is not heard. The process learns the rest.
 *
 * @module
 */
import type { Axis, Point } from "./encoding.ts";
import { Covariance } from "./kernel.ts";
import { learn } from "./learn.ts";
import { Posterior } from "./posterior.ts";
import { type Cost, targetsOf } from "./targets.ts";

/** Steps of learning at a fit; the first fits start far from the truth. */
const STEPS = { early: 15, late: 8 };
const EARLY = 60;

/** Observations that a model's slope is pulled towards 0 by. */
const DOUBT = 4;

/** A point that was proposed or told, and what became of it. */
export interface Observation {
  readonly point: Point;
  cost: Cost;
}

/** What is expected of candidates. Targets are as in targets.ts; lower is better. */
export class Surrogate {
  readonly #covariance: Covariance;
  readonly #capacity: number;
  readonly #guess: ((point: Point) => number) | undefined;
  #posterior: Posterior;
  #observations: Observation[] = [];
  /** Of the cost model: logarithms for each observation and candidate, their mean, and the regression's slope. */
  #observedGuesses: number[] = [];
  #guesses: number[] = [];
  #centre = 0;
  #slope = 0;
  /** The lowest target, and the factor from targets to logarithms of costs. */
  best = Infinity;
  scale = 1;

  /**
   * @param capacity Candidates at the most.
   * @param guess The logarithm of the cost model.
   */
  constructor(axes: readonly Axis[], capacity: number, guess?: (point: Point) => number) {
    this.#covariance = new Covariance(axes);
    this.#capacity = capacity;
    this.#guess = guess;
    this.#posterior = new Posterior(this.#covariance, capacity);
  }

  get candidates(): readonly Point[] {
    return this.#posterior.candidates;
  }

  get full(): boolean {
    return this.#posterior.count === this.#capacity;
  }

  /** Learns from these observations alone, and starts over with these candidates. */
  fit(observations: readonly Observation[], candidates: readonly Point[]): void {
    const told = observations.filter(({ cost }) => cost !== "pending");
    const { targets } = targetsOf(told.map(({ cost }) => cost));
    if (this.#guess) this.#regress(told.map(({ point }) => this.#guess!(point)), targets as number[]);
    const rest = Float64Array.from(told, ({ point }, i) => targets[i]! - this.#expected(this.#guess?.(point)));
    learn(this.#covariance, told.map(({ point }) => point), rest, told.length < EARLY ? STEPS.early : STEPS.late);
    this.#posterior = new Posterior(this.#covariance, this.#capacity);
    this.#observations = [];
    this.#observedGuesses = [];
    this.#guesses = [];
    for (const point of candidates) this.addCandidate(point);
    for (const observation of observations) this.observe(observation);
  }

  addCandidate(point: Point): void {
    if (this.full) return;
    this.#posterior.addCandidate(point);
    if (this.#guess) this.#guesses.push(this.#guess(point));
  }

  /** Adds an observation; {@linkcode settle} hears its cost. */
  observe(observation: Observation): void {
    this.#posterior.observe(observation.point);
    this.#observations.push(observation);
    if (this.#guess) this.#observedGuesses.push(this.#guess(observation.point));
  }

  /** Hears the costs that were told since. */
  settle(): void {
    const { targets, scale } = targetsOf(this.#observations.map(({ cost }) => cost));
    const rest = targets.map((target, i) =>
      target === undefined ? undefined : target - this.#expected(this.#observedGuesses[i])
    );
    this.#posterior.settle(rest);
    this.best = targets.reduce<number>((least, target) => Math.min(least, target ?? Infinity), Infinity);
    this.scale = scale;
  }

  /** Expected target of a candidate. */
  mean(c: number): number {
    return this.#posterior.mean[c] + this.#expected(this.#guesses[c]);
  }

  /** Standard deviation of a candidate's target. */
  deviation(c: number): number {
    return this.#posterior.deviation(c);
  }

  /** What the cost model makes of a guess. */
  #expected(guess: number | undefined): number {
    return guess === undefined ? 0 : this.#slope * (guess - this.#centre);
  }

  #regress(guesses: readonly number[], targets: readonly number[]): void {
    this.#centre = guesses.reduce((sum, guess) => sum + guess, 0) / guesses.length;
    let [together, alone] = [0, 0];
    guesses.forEach((guess, i) => {
      together += (guess - this.#centre) * targets[i];
      alone += (guess - this.#centre) ** 2;
    });
    const doubt = DOUBT * alone / guesses.length;
    this.#slope = alone > 0 ? Math.max(0, together / (alone + doubt)) : 0;
  }
}
