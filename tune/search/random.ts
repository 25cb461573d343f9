import { type Config, configKey } from "../../kernels/space.ts";
import { randomSource } from "../../kernels/random_source.ts";
import { listing, sampler } from "./listing.ts";
import type { StrategyFactory } from "./strategy.ts";

/** Draws in a row that may give what was proposed before, after which a large space counts as used up. */
const REPEATS = 1000;

/** Every admitted config at most once, each order equally likely. */
export const random: StrategyFactory = (space, seed) => {
  const next = randomSource(seed);
  const known = new Set<string>();
  const tell = ({ config }: { config: Config }) => void known.add(configKey(config));
  const all = listing(space);
  if (all) {
    const order = shuffled([...all], next);
    let at = 0;
    return {
      ask() {
        while (at < order.length && known.has(configKey(order[at]))) at++;
        return order[at++];
      },
      tell,
      total: order.length,
    };
  }
  const draw = sampler(space, next);
  return {
    ask() {
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        const config = draw();
        if (!config) return undefined;
        const key = configKey(config);
        if (known.has(key)) continue;
        known.add(key);
        return config;
      }
    },
    tell,
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
