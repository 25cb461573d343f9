/**
 * How configs are chosen: a strategy is asked for the next config and told what became of it.
 *
 * Several configs may be asked for before the first of them is told, so that some compile while another is measured.
 *
 * @module
 */
import type { Config, Space } from "../../kernels/space.ts";

/** What a strategy learns of a config. */
export interface Told {
  readonly config: Config;
  /** Time as a share of the baseline's; undefined where the candidate failed. Lower is better. */
  readonly cost: number | undefined;
}

/** What a similar problem taught: the same kernel at another context, batch or SM count. */
export interface Taught {
  /** What was measured there, each config as this space has it. */
  readonly rows: readonly Told[];
  /** A guess of a config's cost there, up to a factor, where {@linkcode Hints.model} gives one for here. */
  readonly model?: ((config: Config) => number) | undefined;
}

/** What is known before the first config is measured. A strategy may use all of it or nothing. */
export interface Hints {
  /** Configs that were good elsewhere, the best first: at another context, batch or SM count, or on another device. */
  readonly configs?: readonly Config[];
  /** A guess of a config's cost, up to a factor: the kernel's analytic model. */
  readonly model?: ((config: Config) => number) | undefined;
  /** What was measured in the nearest task. */
  readonly taught?: Taught | undefined;
  /** What measuring a config would cost now, up to a factor: less where its programs are compiled already. */
  readonly effort?: (config: Config) => number;
}

/** Proposes configs until it has none left. */
export interface Strategy {
  /** The next config of the space that was neither proposed nor told before, or undefined where none is left. */
  ask(): Config | undefined;
  /** What became of a config: one that it proposed, or one that is known from elsewhere, as after a restart. */
  tell(told: Told): void;
  /** What the last proposal promised, as a share of the best cost so far, where the strategy knows. */
  readonly gain?: number;
  /** How many configs of the space there are in all, where it knows. */
  readonly total?: number;
}

/** Makes a strategy over a space. Equal seeds propose equal configs when they are told equal costs. */
export type StrategyFactory = (space: Space, seed: number, hints?: Hints) => Strategy;
