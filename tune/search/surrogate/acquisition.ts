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
  // Φ and the density cancel for far candidates; there their quotient is taken apart instead.
  const value = z > -2 ? Math.log(density(z) + z * cumulative(z)) : logDensity(z) + Math.log(tailShare(-z));
  return value + Math.log(deviation);
}

/** 1 − z·Φ(−z)/φ(z) for z above 1, by the continued fraction of Mills' ratio (Abramowitz & Stegun, 26.2.14). */
function tailShare(z: number): number {
  let fraction = 0;
  for (let k = 40; k >= 2; k--) fraction = k / (z + fraction);
  const rest = 1 / (z + fraction);
  return rest / (z + rest);
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
