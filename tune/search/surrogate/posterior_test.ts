import { ok, strictEqual } from "node:assert";
import { factor, inverse } from "./cholesky.ts";
import { encodingOf, type Point } from "./encoding.ts";
import { Covariance } from "./kernel.ts";
import { Posterior } from "./posterior.ts";

const { axes } = encodingOf({
  params: [
    { name: "a", values: [1, 2, 4, 8, 16], what: "a", recompiles: true },
    { name: "b", values: ["x", "y", "z"], what: "b", recompiles: true },
  ],
  constraints: [],
});
const point = (...values: number[]): Point => Uint16Array.from(values);
const OBSERVED = [point(0, 0), point(4, 1), point(2, 2), point(1, 1)];
const TARGETS = [1, -1, 0.5, 0.2];
const CANDIDATES = [point(3, 1), point(0, 2), point(2, 0)];

/** Mean and deviation by solving the whole system. */
function solved(covariance: Covariance, candidate: Point, observed: readonly Point[], targets: readonly number[]) {
  const n = observed.length;
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) matrix[i * n + j] = covariance.of(observed[i], observed[j]);
    matrix[i * n + i] += covariance.nugget;
  }
  factor(matrix, n);
  const inverted = inverse(matrix, n);
  const k = observed.map((other) => covariance.of(candidate, other));
  let [mean, explained] = [0, 0];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      mean += k[i] * inverted[i * n + j] * targets[j];
      explained += k[i] * inverted[i * n + j] * k[j];
    }
  }
  return { mean, deviation: Math.sqrt(covariance.variance - explained) };
}

Deno.test("Posterior has the same mean for a candidate and for its point, without candidates, too", () => {
  const posterior = new Posterior(new Covariance(axes), 0);
  const pooled = new Posterior(new Covariance(axes), CANDIDATES.length);
  CANDIDATES.forEach((candidate) => pooled.addCandidate(candidate));
  for (const one of [posterior, pooled]) {
    OBSERVED.forEach((observed) => one.observe(observed));
    one.settle(TARGETS);
  }
  CANDIDATES.forEach((candidate, c) => ok(Math.abs(posterior.meanAt(candidate) - pooled.mean[c]) < 1e-12));
});

Deno.test("Posterior, grown by rows and candidates in any order, is what solving the whole system gives", () => {
  const covariance = new Covariance(axes);
  const posterior = new Posterior(covariance, 10);
  posterior.addCandidate(CANDIDATES[0]);
  OBSERVED.slice(0, 2).forEach((one) => posterior.observe(one));
  posterior.addCandidate(CANDIDATES[1]);
  OBSERVED.slice(2).forEach((one) => posterior.observe(one));
  posterior.settle(TARGETS);
  posterior.addCandidate(CANDIDATES[2]); // Its mean needs no further settling.
  CANDIDATES.forEach((candidate, c) => {
    const expected = solved(covariance, candidate, OBSERVED, TARGETS);
    ok(Math.abs(posterior.mean[c] - expected.mean) < 1e-9, `${c} ${posterior.mean[c]} ${expected.mean}`);
    ok(Math.abs(posterior.deviation(c) - expected.deviation) < 1e-9);
  });
});

Deno.test("Posterior.settle() lets a pending observation lower uncertainty and leave means as they are", () => {
  const covariance = new Covariance(axes);
  const posterior = new Posterior(covariance, 10);
  CANDIDATES.forEach((candidate) => posterior.addCandidate(candidate));
  OBSERVED.slice(0, 3).forEach((one) => posterior.observe(one));
  posterior.settle(TARGETS.slice(0, 3));
  const [mean, deviation] = [posterior.mean[0], posterior.deviation(0)];
  posterior.observe(OBSERVED[3]);
  posterior.settle([...TARGETS.slice(0, 3), undefined]);
  strictEqual(posterior.mean[0], mean);
  ok(posterior.deviation(0) < deviation);
});

Deno.test("Covariance.addSlopes() is the derivative of Covariance.of()", () => {
  const covariance = new Covariance(axes);
  const [a, b] = [point(0, 1), point(3, 2)];
  const slopes = new Float64Array(axes.length + 2);
  covariance.addSlopes(a, b, 1, slopes);
  const step = 1e-5;
  const numeric = (move: (by: number) => void) => {
    const at = (by: number) => {
      move(by);
      covariance.update();
      const value = covariance.of(a, b);
      move(-by);
      return value;
    };
    return (at(step) - at(-step)) / (2 * step);
  };
  const { hyper } = covariance;
  const expected = [
    ...axes.map((_, d) => numeric((by) => hyper.weights[d] += by)),
    numeric((by) => hyper.joint += by),
    numeric((by) => hyper.single += by),
  ];
  expected.forEach((slope, i) => ok(Math.abs(slopes[i] - slope) < 1e-8, `${i}: ${slopes[i]} ${slope}`));
});
