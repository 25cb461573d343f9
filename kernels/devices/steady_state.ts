/** When a device is warm: clocks are up, caches and pipelines are what they will be. */

/** Rounds that are looked at together. */
export const STEADY_ROUNDS = 4;

/** Their coefficient of variation at the most. */
const VARIATION = 0.01;

/**
 * Whether the last rounds show a steady state: their standard deviation is at most 1 % of their mean (Georges, Buytaert &
 * Eeckhout, Statistically Rigorous Java Performance Evaluation, OOPSLA 2007, section 4.2).
 *
 * @param rounds Time of each round so far, all programs together, in any unit.
 */
export function isSteady(rounds: readonly number[]): boolean {
  if (rounds.length < STEADY_ROUNDS) return false;
  const last = rounds.slice(-STEADY_ROUNDS);
  const mean = last.reduce((sum, time) => sum + time, 0) / STEADY_ROUNDS;
  const squares = last.reduce((sum, time) => sum + (time - mean) ** 2, 0);
  return Math.sqrt(squares / (STEADY_ROUNDS - 1)) <= VARIATION * mean;
}
