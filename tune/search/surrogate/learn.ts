/**
 * Learns the covariance's hyperparameters: the most probable ones given what was observed (maximum a posteriori, normal
 * priors on the logarithms), by a few sign-based gradient steps (Rprop, Riedmiller & Braun, 1993), which need no line
 * search and bear a rough start.
 *
 * @module
 */
import { factor, inverse } from "./cholesky.ts";
import type { Point } from "./encoding.ts";
import type { Covariance } from "./kernel.ts";

/** Standard deviation of the logarithm of a weight under the prior; that of the other hyperparameters is 1. */
const WEIGHT_SPREAD = 2;

const FIRST_STEP = 0.3;
const LARGEST_STEP = 0.8;

/** Bounds of the logarithms: weights, joint, single, nugget. */
const BOUNDS = { weight: [-6, 7], joint: [-3, 2], single: [-5, 2], nugget: [Math.log(1e-4), 0] } as const;

/** Moves the hyperparameters of `covariance` so many steps towards the most probable ones. */
export function learn(covariance: Covariance, points: readonly Point[], targets: Float64Array, steps: number): void {
  const { hyper } = covariance;
  const axes = covariance.axes.length;
  const size = new Float64Array(axes + 3).fill(FIRST_STEP);
  let before = new Float64Array(axes + 3);
  for (let step = 0; step < steps; step++) {
    const slopes = slopesAt(covariance, points, targets);
    if (!slopes) hyper.nugget = Math.min(BOUNDS.nugget[1], hyper.nugget + 1);
    else {
      const moved = (value: number, i: number, [low, high]: readonly [number, number]) => {
        const agreement = slopes[i] * before[i];
        if (agreement > 0) size[i] = Math.min(size[i] * 1.3, LARGEST_STEP);
        else if (agreement < 0) size[i] *= 0.5;
        return Math.max(low, Math.min(high, value - Math.sign(slopes[i]) * size[i]));
      };
      for (let d = 0; d < axes; d++) hyper.weights[d] = moved(hyper.weights[d], d, BOUNDS.weight);
      hyper.joint = moved(hyper.joint, axes, BOUNDS.joint);
      hyper.single = moved(hyper.single, axes + 1, BOUNDS.single);
      hyper.nugget = moved(hyper.nugget, axes + 2, BOUNDS.nugget);
      before = slopes;
    }
    covariance.update();
  }
}

/** Slopes of the negative log posterior: [weights, joint, single, nugget]; undefined where the matrix is singular. */
function slopesAt(
  covariance: Covariance,
  points: readonly Point[],
  targets: Float64Array,
): Float64Array<ArrayBuffer> | undefined {
  const n = points.length;
  const { hyper, prior, nugget } = covariance;
  const axes = covariance.axes.length;
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) matrix[i * n + j] = covariance.of(points[i], points[j]);
    matrix[i * n + i] = covariance.variance + nugget;
  }
  if (!factor(matrix, n)) return undefined;
  const inverted = inverse(matrix, n);
  const solved = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) solved[i] += inverted[i * n + j] * targets[j];
  }
  const slopes = new Float64Array(axes + 3);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      covariance.addSlopes(points[i], points[j], inverted[i * n + j] - solved[i] * solved[j], slopes);
    }
    const weight = (inverted[i * n + i] - solved[i] ** 2) / 2;
    covariance.addSlopes(points[i], points[i], weight, slopes);
    slopes[axes + 2] += weight * nugget;
  }
  for (let d = 0; d < axes; d++) slopes[d] += (hyper.weights[d] - prior.weight) / WEIGHT_SPREAD ** 2;
  slopes[axes] += hyper.joint - prior.joint;
  slopes[axes + 1] += hyper.single - prior.single;
  slopes[axes + 2] += hyper.nugget - prior.nugget;
  return slopes;
}
