import { ok, strictEqual } from "node:assert";
import { randomSource } from "../../../kernels/random_source.ts";
import { factor, inverse } from "./cholesky.ts";

const N = 7;

/** B·Bᵀ + 1: positive definite. */
function definite(): Float64Array {
  const random = randomSource(3);
  const b = Float64Array.from({ length: N * N }, () => random() - 0.5);
  return Float64Array.from({ length: N * N }, (_, at) => {
    const [i, j] = [Math.floor(at / N), at % N];
    let sum = i === j ? 1 : 0;
    for (let k = 0; k < N; k++) sum += b[i * N + k] * b[j * N + k];
    return sum;
  });
}

Deno.test("inverse() of factor() times the matrix is the identity", () => {
  const a = definite();
  const l = a.slice();
  ok(factor(l, N));
  const inverted = inverse(l, N);
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) {
      let sum = 0;
      for (let k = 0; k < N; k++) sum += a[i * N + k] * inverted[k * N + j];
      ok(Math.abs(sum - (i === j ? 1 : 0)) < 1e-12, `${i} ${j} ${sum}`);
    }
  }
});

Deno.test("factor() says where a matrix is not positive definite", () => {
  strictEqual(factor(Float64Array.of(1, 2, 2, 1), 2), false);
});
