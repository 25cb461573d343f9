import { configs } from "../../kernels/space.ts";
import type { StrategyFactory } from "./strategy.ts";

/** Every admitted config once, in the space's own order. */
export const exhaustive: StrategyFactory = (space) => {
  const left = configs(space);
  let total: number | undefined;
  return {
    ask: () => left.next().value ?? undefined,
    tell() {},
    get total() {
      return total ??= [...configs(space)].length;
    },
  };
};
