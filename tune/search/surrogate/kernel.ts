/**
 * How alike the costs of two configs are expected to be: the covariance of the Gaussian process.
 *
 * It is the sum of two parts: `joint`, a Matérn-5/2 of the weighted distance over all parameters, which knows how
 * parameters interact, and `single`, the mean of a Matérn-5/2 of each parameter alone, which carries what a value is worth
 * wherever else a config lies (Duvenaud et al., Additive Gaussian Processes, 2011). Each parameter has a weight that is
 * learned (automatic relevance determination), and the nugget is what the parameters do not explain.
 *
 * @module
 */
import { type Axis, type Point } from "./encoding.ts";

/** What is learned, all as natural logarithms. */
export interface Hyperparameters {
  /** Weight of each axis: the squared inverse of its length scale. */
  readonly weights: Float64Array;
  joint: number;
  single: number;
  nugget: number;
}

/** Where learning starts and what it is drawn to. */
export interface Prior {
  readonly weight: number;
  readonly joint: number;
  readonly single: number;
  readonly nugget: number;
}

/** Length scales grow with the square root of the number of axes (Hvarfner et al., Vanilla Bayesian Optimization, 2024). */
export function priorOf(axes: number): Prior {
  return { weight: -Math.log(0.09 * axes), joint: 0, single: Math.log(0.3), nugget: Math.log(0.05) };
}

/** The covariance of points, with its tables for the hyperparameters at hand. */
export class Covariance {
  readonly axes: readonly Axis[];
  readonly hyper: Hyperparameters;
  readonly prior: Prior;
  /** Weighted squared distances, and `single`'s share, by axis and pair of values. */
  #joint: Float64Array[] = [];
  #single: Float64Array[] = [];
  #jointScale = 0;

  constructor(axes: readonly Axis[]) {
    this.axes = axes;
    this.prior = priorOf(axes.length);
    this.hyper = { ...this.prior, weights: new Float64Array(axes.length).fill(this.prior.weight) };
    this.update();
  }

  /** Covariance of a point with itself, without the nugget. */
  get variance(): number {
    return Math.exp(this.hyper.joint) + Math.exp(this.hyper.single);
  }

  get nugget(): number {
    return Math.exp(this.hyper.nugget);
  }

  /** Makes the tables again after the hyperparameters changed. */
  update(): void {
    const count = this.axes.length;
    const share = Math.exp(this.hyper.single) / count;
    this.#jointScale = Math.exp(this.hyper.joint);
    this.#joint = this.axes.map(({ squared }, d) => {
      const weight = Math.exp(this.hyper.weights[d]);
      return squared.map((distance) => distance * weight);
    });
    this.#single = this.#joint.map((table) => table.map((r2) => share * matern(r2 * count / 2)));
  }

  /** Of two points, without the nugget. */
  of(a: Point, b: Point): number {
    let [r2, single] = [0, 0];
    for (let d = 0; d < this.axes.length; d++) {
      const at = a[d] * this.axes[d].values.length + b[d];
      r2 += this.#joint[d][at];
      single += this.#single[d][at];
    }
    return this.#jointScale * matern(r2) + single;
  }

  /**
   * Of one point with many.
   *
   * @param columns [axes][≥ count] values of the many, axis by axis.
   * @param out [≥ count]
   */
  row(point: Point, columns: readonly Uint16Array[], count: number, out: Float64Array, r2: Float64Array): void {
    out.fill(0, 0, count);
    r2.fill(0, 0, count);
    for (let d = 0; d < this.axes.length; d++) {
      const width = this.axes[d].values.length;
      const joint = this.#joint[d].subarray(point[d] * width, (point[d] + 1) * width);
      const single = this.#single[d].subarray(point[d] * width, (point[d] + 1) * width);
      const column = columns[d];
      for (let c = 0; c < count; c++) {
        const value = column[c];
        r2[c] += joint[value];
        out[c] += single[value];
      }
    }
    for (let c = 0; c < count; c++) out[c] += this.#jointScale * matern(r2[c]);
  }

  /**
   * Adds to `slopes` how the value between two points changes with each hyperparameter, times `weight`.
   *
   * @param slopes [axes + 2]: the weights, `joint`, `single`.
   */
  addSlopes(a: Point, b: Point, weight: number, slopes: Float64Array): void {
    const count = this.axes.length;
    const share = Math.exp(this.hyper.single) / count;
    let [r2, single] = [0, 0];
    for (let d = 0; d < count; d++) {
      const at = a[d] * this.axes[d].values.length + b[d];
      r2 += this.#joint[d][at];
      single += this.#single[d][at];
    }
    const slope = this.#jointScale * maternSlope(r2);
    for (let d = 0; d < count; d++) {
      if (a[d] === b[d]) continue;
      const part = this.#joint[d][a[d] * this.axes[d].values.length + b[d]];
      slopes[d] += weight * part * (slope + share * maternSlope(part * count / 2) * count / 2);
    }
    slopes[count] += weight * this.#jointScale * matern(r2);
    slopes[count + 1] += weight * single;
  }
}

/** Matérn-5/2 of a squared distance. */
function matern(r2: number): number {
  const s = Math.sqrt(5 * r2);
  return (1 + s + s * s / 3) * Math.exp(-s);
}

/** Its derivative with respect to the squared distance. */
function maternSlope(r2: number): number {
  const s = Math.sqrt(5 * r2);
  return -5 / 6 * (1 + s) * Math.exp(-s);
}
