/**
 * How configs are chosen: a strategy is asked for the next config and told what became of it.
 *
 * @module
 */
import type { Config, Space } from "../../kernels/space.ts";

/** Combinations of a space that may be listed whole; listing more takes seconds. */
export const LISTED = 100_000;

/** What a strategy learns of a config that it proposed. */
export interface Told {
  readonly config: Config;
  /** Time as a share of the baseline's; undefined where the candidate failed. Lower is better. */
  readonly cost: number | undefined;
}

/** Proposes configs until it has none left. */
export interface Strategy {
  /** The next config of the space that was not proposed before, or undefined where none is left. */
  ask(): Config | undefined;
  tell(told: Told): void;
  /** How many configs it will propose in all, where it knows. */
  readonly total?: number;
}

/** Makes a strategy over a space. Equal seeds propose equal configs when they are told equal costs. */
export type StrategyFactory = (space: Space, seed: number) => Strategy;
