/**
 * Costs as what the Gaussian process learns.
 *
 * Logarithms, since a factor is a factor at either end. The slowest quarter counts as the time at which it begins: how
 * slow a slow config is says nothing of the fast ones, and failures take the same place.
 *
 * @module
 */

/** Share of the costs that are told apart. */
const TOLD_APART = 0.75;

/** A candidate's cost: `pending` while it is being measured, undefined where it failed. */
export type Cost = number | undefined | "pending";

/** Targets of mean 0 and variance 1 (undefined for pending ones), and the factor from them to logarithms. */
export function targetsOf(costs: readonly Cost[]): { targets: (number | undefined)[]; scale: number } {
  const logs = costs.filter((cost) => typeof cost === "number").map(Math.log).sort((a, b) => a - b);
  const slowest = logs[Math.min(logs.length - 1, Math.floor(logs.length * TOLD_APART))] ?? 0;
  const clipped = costs.map((cost) => {
    if (cost === "pending") return undefined;
    return cost === undefined ? slowest : Math.min(Math.log(cost), slowest);
  });
  const known = clipped.filter((target) => target !== undefined);
  const mean = known.reduce((sum, target) => sum + target, 0) / known.length;
  const variance = known.reduce((sum, target) => sum + (target - mean) ** 2, 0) / known.length;
  const scale = Math.sqrt(variance) || 1;
  return { targets: clipped.map((target) => target === undefined ? undefined : (target - mean) / scale), scale };
}
