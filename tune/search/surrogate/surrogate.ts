/**
 * The surrogate: what a Gaussian process and the kernel's own cost model say of candidates, together.
 *
 * The cost model, where there is one, is the process's mean, as far as the observations bear it out: its logarithm is scaled
 * by the slope of a regression, so that a model that says nothing is not heard. The process learns the rest. What a similar
 * problem taught takes the model's place, and is believed until observations speak against it.
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

/** Observations that a model's slope is pulled by towards 0, or towards 1 where it is trusted. */
const DOUBT = 4;

/** The logarithm of a cost that is guessed for a point. */
export interface Guess {
  readonly at: (point: Point) => number;
  /** Whether it is right in size, too, until observations say otherwise: measurements, not a formula. */
  readonly trusted: boolean;
}

/** A point that was proposed or told, and what became of it. */
export interface Observation {
  readonly point: Point;
  cost: Cost;
}

/** What is expected of candidates. Targets are as in targets.ts; lower is better. */
export class Surrogate {
  readonly #covariance: Covariance;
  readonly #capacity: number;
  readonly #guess: Guess | undefined;
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

  /** @param capacity Candidates at the most. */
  constructor(axes: readonly Axis[], capacity: number, guess?: Guess) {
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
    const { targets, scale } = targetsOf(told.map(({ cost }) => cost));
    if (this.#guess) {
      const presumed = this.#guess.trusted ? 1 / scale : 0;
      this.#regress(told.map(({ point }) => this.#guess!.at(point)), targets as number[], presumed);
    }
    const rest = Float64Array.from(told, ({ point }, i) => targets[i]! - this.#expected(this.#guess?.at(point)));
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
    if (this.#guess) this.#guesses.push(this.#guess.at(point));
  }

  /** Adds an observation; {@linkcode settle} hears its cost. */
  observe(observation: Observation): void {
    this.#posterior.observe(observation.point);
    this.#observations.push(observation);
    if (this.#guess) this.#observedGuesses.push(this.#guess.at(observation.point));
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

  /**
   * The logarithm of a cost that is expected at any point, up to a summand.
   *
   * @param guess In place of what this surrogate's own guess would be.
   */
  logCostAt(point: Point, guess = this.#guess?.at(point)): number {
    return this.scale * (this.#posterior.meanAt(point) + this.#expected(guess));
  }

  /** Standard deviation of a candidate's target. */
  deviation(c: number): number {
    return this.#posterior.deviation(c);
  }

  /** What the cost model makes of a guess. */
  #expected(guess: number | undefined): number {
    return guess === undefined ? 0 : this.#slope * (guess - this.#centre);
  }

  /** @param presumed The slope where nothing speaks against it. */
  #regress(guesses: readonly number[], targets: readonly number[], presumed: number): void {
    this.#centre = guesses.reduce((sum, guess) => sum + guess, 0) / guesses.length;
    let [together, alone] = [0, 0];
    guesses.forEach((guess, i) => {
      together += (guess - this.#centre) * targets[i];
      alone += (guess - this.#centre) ** 2;
    });
    const doubt = DOUBT * alone / guesses.length;
    this.#slope = alone > 0 ? Math.max(0, (together + doubt * presumed) / (alone + doubt)) : presumed;
  }
}
