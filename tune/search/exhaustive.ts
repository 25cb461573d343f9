import { type Config, configKey } from "../../kernels/space.ts";
import { admitted, listing } from "./listing.ts";
import type { StrategyFactory } from "./strategy.ts";

/**
 * Every admitted config once. Where the space can be listed and the kernel has a cost model, the cheapest guess comes first:
 * a budget that ends early has then seen the part that matters. Else in the space's own order.
 */
export const exhaustive: StrategyFactory = (space, _seed, { model } = {}) => {
  const all = listing(space);
  const left = (all && model ? byModel(all, model) : all ?? admitted(space))[Symbol.iterator]();
  const known = new Set<string>();
  const next = (): Config | undefined => {
    for (let config = left.next().value; config; config = left.next().value) {
      if (!known.has(configKey(config))) return config;
    }
  };
  return {
    ask: next,
    tell: ({ config }) => void known.add(configKey(config)),
    ...(all && { total: all.length }),
  };
};

function byModel(configs: readonly Config[], model: (config: Config) => number): Config[] {
  return configs.map((config) => ({ config, guess: model(config) }))
    .sort((a, b) => a.guess - b.guess)
    .map(({ config }) => config);
}
