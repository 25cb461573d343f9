/**
 * A genetic algorithm, for comparison: the population method that tuners have by default (Holland, Adaptation in Natural
 * and Artificial Systems, 1975). The fittest half of the observations breeds by uniform crossover and mutation.
 *
 * @module
 */
import { randomSource } from "../../kernels/random_source.ts";
import { Lattice } from "./lattice.ts";
import type { StrategyFactory } from "./strategy.ts";
import { type Point, pointKey } from "./surrogate/encoding.ts";

/** Configs of a generation. */
const POPULATION = 20;

/** Chance that a parameter of a child mutates, times the number of parameters. */
const MUTATIONS = 1;

/** Children in a row that are not admitted or not new, after which a config is drawn instead. */
const STILLBORN = 200;

/** Breeds the configs that were best so far. */
export const genetic: StrategyFactory = (space, seed, hints = {}) => {
  const random = randomSource(seed);
  const lattice = Lattice.of(space);
  const { axes } = lattice.encoding;
  const known = new Map<string, { readonly point: Point; cost: number | undefined }>();
  const draw = lattice.draws(random, known);
  const promising = (hints.configs ?? []).flatMap((config) => lattice.pointOf(config) ?? []);

  const anyOf = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)];

  const child = (): Point | undefined => {
    const fittest = [...known.values()].filter(({ cost }) => cost !== undefined)
      .sort((a, b) => a.cost! - b.cost!).slice(0, POPULATION / 2);
    if (fittest.length < 2) return undefined;
    for (let birth = 0; birth < STILLBORN; birth++) {
      const [mother, father] = [anyOf(fittest).point, anyOf(fittest).point];
      const point = mother.map((value, d) => random() < 0.5 ? value : father[d]);
      for (let d = 0; d < point.length; d++) {
        if (random() < MUTATIONS / point.length) point[d] = Math.floor(random() * axes[d].values.length);
      }
      if (!known.has(pointKey(point)) && lattice.admits(point)) return point;
    }
  };

  return {
    ask() {
      const hinted = promising.find((point) => !known.has(pointKey(point)));
      const point = hinted ?? (known.size < POPULATION ? draw() : child() ?? draw());
      if (!point) return undefined;
      known.set(pointKey(point), { point, cost: undefined });
      return lattice.encoding.decode(point);
    },
    tell({ config, cost }) {
      const point = lattice.pointOf(config);
      if (point) known.set(pointKey(point), { point, cost });
    },
    ...(lattice.listed && { total: lattice.listed.length }),
  };
};
