/** The strategies by name. */
import { bayesian } from "./bayesian.ts";
import { exhaustive } from "./exhaustive.ts";
import { genetic } from "./genetic.ts";
import { random } from "./random.ts";
import type { StrategyFactory } from "./strategy.ts";

/** The strategies by the name that `--strategy` takes. */
export const STRATEGIES = { bayesian, genetic, random, exhaustive } satisfies Record<string, StrategyFactory>;

/** A strategy's name. */
export type StrategyName = keyof typeof STRATEGIES;

/** What a sweep takes unless told. */
export const DEFAULT_STRATEGY: StrategyName = "bayesian";
