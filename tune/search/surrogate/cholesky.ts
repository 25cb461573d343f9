/**
 * The few operations on positive definite matrices that a Gaussian process needs. Matrices are dense and row-major; of
 * symmetric and triangular ones the lower triangle is read and written.
 *
 * @module
 */

/**
 * Replaces `a` by its Cholesky factor.
 *
 * @param a [n, n] symmetric; afterwards its lower triangle is L with L·Lᵀ = a.
 * @returns False where `a` is not positive definite; it is then half overwritten.
 */
export function factor(a: Float64Array, n: number): boolean {
  for (let j = 0; j < n; j++) {
    const rowJ = j * n;
    let diagonal = a[rowJ + j];
    for (let k = 0; k < j; k++) diagonal -= a[rowJ + k] ** 2;
    if (!(diagonal > 1e-12)) return false;
    const root = Math.sqrt(diagonal);
    a[rowJ + j] = root;
    for (let i = j + 1; i < n; i++) {
      const rowI = i * n;
      let value = a[rowI + j];
      for (let k = 0; k < j; k++) value -= a[rowI + k] * a[rowJ + k];
      a[rowI + j] = value / root;
    }
  }
  return true;
}

/**
 * The inverse of L·Lᵀ.
 *
 * @param l [n, n] lower triangular.
 * @returns [n, n], both triangles.
 */
export function inverse(l: Float64Array, n: number): Float64Array {
  // Rows of the transposed inverse of L, so that the inner loops run along rows.
  const columns = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    const column = columns.subarray(j * n, (j + 1) * n);
    column[j] = 1 / l[j * n + j];
    for (let i = j + 1; i < n; i++) {
      const rowI = i * n;
      let sum = 0;
      for (let k = j; k < i; k++) sum += l[rowI + k] * column[k];
      column[i] = -sum / l[rowI + i];
    }
  }
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += columns[i * n + k] * columns[j * n + k];
      result[i * n + j] = result[j * n + i] = sum;
    }
  }
  return result;
}
