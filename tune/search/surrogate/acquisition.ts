/**
 * What measuring a candidate promises: the logarithm of the expected improvement on the best (Jones et al., Efficient
 * Global Optimization, 1998), as a logarithm so that small promises can still be compared (Ament et al., 2023).
 *
 * @module
 */

/**
 * @param mean Expected target; lower is better.
 * @param deviation Its standard deviation, above 0.
 * @param best The lowest target so far.
 */
export function logImprovement(mean: number, deviation: number, best: number): number {
  const z = (best - mean) / deviation;
  // Φ and the density cancel for far candidates: there the tail's expansion is exact enough.
  const value = z > -5 ? Math.log(density(z) + z * cumulative(z)) : logDensity(z) - 2 * Math.log(-z);
  return value + Math.log(deviation);
}

function logDensity(z: number): number {
  return -0.5 * (z * z + Math.log(2 * Math.PI));
}

function density(z: number): number {
  return Math.exp(logDensity(z));
}

/** The normal distribution's Φ to 7.5e-8 (Abramowitz & Stegun, Handbook of Mathematical Functions, 26.2.17). */
function cumulative(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const series = t *
    (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = density(z) * series;
  return z > 0 ? 1 - tail : tail;
}
