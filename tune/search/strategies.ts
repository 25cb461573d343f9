/** The strategies by name. */
import { exhaustive } from "./exhaustive.ts";
import { random } from "./random.ts";
import type { StrategyFactory } from "./strategy.ts";

/** The strategies by the name that `--strategy` takes. */
export const STRATEGIES = { exhaustive, random } satisfies Record<string, StrategyFactory>;

/** A strategy's name. */
export type StrategyName = keyof typeof STRATEGIES;
