import { brokenConstraint, type Config, configKey, configs, productSize, sampleConfig } from "../../kernels/space.ts";
import { randomSource } from "../../kernels/random_source.ts";
import { LISTED, type StrategyFactory } from "./strategy.ts";

/** Draws that may miss in a row before a large space counts as used up. */
const MISSES = 100_000;

/** Every admitted config at most once, each order equally likely. */
export const random: StrategyFactory = (space, seed) => {
  const next = randomSource(seed);
  if (productSize(space) <= LISTED) {
    const order = shuffled([...configs(space)], next);
    let at = 0;
    return { ask: () => order[at++], tell() {}, total: order.length };
  }
  const proposed = new Set<string>();
  return {
    ask() {
      for (let miss = 0; miss < MISSES; miss++) {
        const config = sampleConfig(space, next);
        const key = configKey(config);
        if (proposed.has(key) || brokenConstraint(space, config)) continue;
        proposed.add(key);
        return config;
      }
    },
    tell() {},
  };
};

/** Fisher–Yates. */
function shuffled(items: Config[], next: () => number): Config[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}
