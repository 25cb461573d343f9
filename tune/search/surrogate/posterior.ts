/**
 * What a Gaussian process expects of a pool of candidates after some observations: mean and standard deviation of each.
 *
 * Both grow by rows: an observation adds one row to the Cholesky factor and one to the candidates' solved covariances, at
 * a cost of observations × candidates, and nothing is solved again (Rasmussen & Williams, Gaussian Processes for Machine
 * Learning, 2006, ch. 2 and A.4).
 *
 * @module
 */
import type { Point } from "./encoding.ts";
import type { Covariance } from "./kernel.ts";

/** Observations, candidates, and what the former say of the latter. */
export class Posterior {
  readonly covariance: Covariance;
  readonly capacity: number;
  /** Candidates by index; the first {@linkcode count} are in use. */
  readonly candidates: Point[] = [];
  /** [capacity] */
  readonly mean: Float64Array;
  #observed: Point[] = [];
  /** Rows of the lower triangular factor. */
  #factor: Float64Array[] = [];
  /** Factor⁻¹ · covariance of the observations with the candidates: [observations][capacity]. */
  #solved: Float64Array[] = [];
  /** [capacity] Variance that the observations take away. */
  #explained: Float64Array;
  /** Factor⁻¹ · targets. */
  #weights = new Float64Array(0);
  /** Covariance⁻¹ · targets, once a mean was asked for. */
  #solution: Float64Array | undefined;
  #columns: Uint16Array[];
  #scratch: Float64Array;

  constructor(covariance: Covariance, capacity: number) {
    this.covariance = covariance;
    this.capacity = capacity;
    this.mean = new Float64Array(capacity);
    this.#explained = new Float64Array(capacity);
    this.#scratch = new Float64Array(capacity);
    this.#columns = covariance.axes.map(() => new Uint16Array(capacity));
  }

  /** Number of candidates. */
  get count(): number {
    return this.candidates.length;
  }

  /** Adds candidates; {@linkcode settle} gives those that come before the first observation their means. */
  addCandidate(point: Point): void {
    const c = this.candidates.push(point) - 1;
    for (let d = 0; d < point.length; d++) this.#columns[d][c] = point[d];
    const column = this.#reduced(point);
    let [mean, explained] = [0, 0];
    for (let i = 0; i < column.length; i++) {
      this.#solved[i][c] = column[i];
      explained += column[i] ** 2;
      mean += column[i] * (this.#weights[i] ?? 0);
    }
    this.#explained[c] = explained;
    this.mean[c] = mean;
  }

  /** Adds an observation, whose target {@linkcode settle} takes. */
  observe(point: Point): void {
    const { covariance, count } = this;
    const row = this.#reduced(point);
    let rest = covariance.variance + covariance.nugget;
    for (const value of row) rest -= value ** 2;
    const diagonal = Math.sqrt(Math.max(rest, 1e-10));
    const solved = new Float64Array(this.capacity);
    covariance.row(point, this.#columns, count, solved, this.#scratch);
    for (let j = 0; j < row.length; j++) {
      const factor = row[j];
      const other = this.#solved[j];
      for (let c = 0; c < count; c++) solved[c] -= factor * other[c];
    }
    for (let c = 0; c < count; c++) {
      solved[c] /= diagonal;
      this.#explained[c] += solved[c] ** 2;
    }
    this.#solved.push(solved);
    this.#factor.push(Float64Array.of(...row, diagonal));
    this.#observed.push(point);
  }

  /**
   * Takes the observations' targets, in their order, and computes the means. An observation without a target (undefined)
   * counts as what was expected of it, so that it lowers uncertainty alone (the Kriging believer of Ginsbourger et al.,
   * 2010).
   */
  settle(targets: readonly (number | undefined)[]): void {
    const n = this.#observed.length;
    const weights = new Float64Array(n);
    this.mean.fill(0);
    for (let i = 0; i < n; i++) {
      const target = targets[i];
      if (target === undefined) continue;
      const row = this.#factor[i];
      let rest = target;
      for (let j = 0; j < i; j++) rest -= row[j] * weights[j];
      weights[i] = rest / row[i];
      const solved = this.#solved[i];
      for (let c = 0; c < this.count; c++) this.mean[c] += weights[i] * solved[c];
    }
    this.#weights = weights;
    this.#solution = undefined;
  }

  /** The mean at any point, by what {@linkcode settle} took. */
  meanAt(point: Point): number {
    const solution = this.#solution ??= this.#solve();
    return solution.reduce((sum, value, i) => sum + value * this.covariance.of(point, this.#observed[i]), 0);
  }

  /** Standard deviation of a candidate's cost, the nugget not included. */
  deviation(c: number): number {
    return Math.sqrt(Math.max(this.covariance.variance - this.#explained[c], 1e-9));
  }

  /** Covariance⁻¹ · targets. */
  #solve(): Float64Array {
    const solution = this.#weights.slice();
    for (let i = solution.length - 1; i >= 0; i--) {
      solution[i] /= this.#factor[i][i];
      for (let j = 0; j < i; j++) solution[j] -= this.#factor[i][j] * solution[i];
    }
    return solution;
  }

  /** Factor⁻¹ · covariance of the observations with a point. */
  #reduced(point: Point): Float64Array {
    const n = this.#observed.length;
    const reduced = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const row = this.#factor[i];
      let rest = this.covariance.of(point, this.#observed[i]);
      for (let j = 0; j < i; j++) rest -= row[j] * reduced[j];
      reduced[i] = rest / row[i];
    }
    return reduced;
  }
}
