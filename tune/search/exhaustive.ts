import { type Config, configKey, productSize } from "../../kernels/space.ts";
import { admitted, LISTED, listing } from "./listing.ts";
import type { StrategyFactory } from "./strategy.ts";

/** Every admitted config once, in the space's own order. */
export const exhaustive: StrategyFactory = (space) => {
  const left = admitted(space);
  const known = new Set<string>();
  // Counting a large space would hold up its first candidate.
  const total = productSize(space) <= LISTED ? listing(space)?.length : undefined;
  const next = (): Config | undefined => {
    for (let config = left.next().value; config; config = left.next().value) {
      if (!known.has(configKey(config))) return config;
    }
  };
  return {
    ask: next,
    tell: ({ config }) => void known.add(configKey(config)),
    ...(total !== undefined && { total }),
  };
};
