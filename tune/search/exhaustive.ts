import { configs, productSize } from "../../kernels/space.ts";
import { LISTED, type StrategyFactory } from "./strategy.ts";

/** Every admitted config once, in the space's own order. */
export const exhaustive: StrategyFactory = (space) => {
  const left = configs(space);
  // Counting a large space would hold up its first candidate.
  const total = productSize(space) <= LISTED ? [...configs(space)].length : undefined;
  return {
    ask: () => left.next().value ?? undefined,
    tell() {},
    ...(total !== undefined && { total }),
  };
};
