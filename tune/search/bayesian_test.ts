import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { type Config, configKey, type Space } from "../../kernels/space.ts";
import { SYNTHETIC, syntheticCost } from "../testing/synthetic_space.ts";
import { bayesian } from "./bayesian.ts";
import { listing } from "./listing.ts";
import { random } from "./random.ts";
import type { Hints, Strategy, StrategyFactory } from "./strategy.ts";

const OPTIMUM = listing(SYNTHETIC)!.reduce(
  (least, config) => Math.min(least, syntheticCost(config) ?? Infinity),
  Infinity,
);

/** Evaluations until a config within 2 % of the optimum, or `most`. */
function evaluations(strategy: StrategyFactory, seed: number, most: number, hints: Hints = {}): number {
  const run = strategy(SYNTHETIC, seed, hints);
  for (let count = 1; count < most; count++) {
    const config = run.ask()!;
    const cost = syntheticCost(config);
    run.tell({ config, cost });
    if (cost !== undefined && cost <= 1.02 * OPTIMUM) return count;
  }
  return most;
}

/** The best cost of so many evaluations. */
function bestAfter(count: number, run: Strategy, costOf: (config: Config) => number | undefined): number {
  let best = Infinity;
  for (let i = 0; i < count; i++) {
    const config = run.ask()!;
    const cost = costOf(config);
    run.tell({ config, cost });
    best = Math.min(best, cost ?? Infinity);
  }
  return best;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const SEEDS = [1, 2, 3, 4, 5];

Deno.test("bayesian finds the best of a rugged space with failures in a tenth of random's evaluations", () => {
  const ours = median(SEEDS.map((seed) => evaluations(bayesian, seed, 200)));
  const theirs = median(SEEDS.map((seed) => evaluations(random, seed, 5000)));
  ok(ours * 10 <= theirs && ours < 150, `${ours} and ${theirs}`);
});

Deno.test("bayesian begins with the configs that it is given, and leaves out what the space has not", () => {
  const known = { threads: 64, rows: 2, columns: 2, unroll: 4, layout: "row", cached: true, splits: 1 };
  const run = bayesian(SYNTHETIC, 1, { configs: [{ ...known, unroll: 5 }, known] });
  deepStrictEqual(run.ask(), known);
  ok(run.ask());
});

Deno.test("bayesian gains from a cost model, and is not misled by one that says nothing", () => {
  const without = median(SEEDS.map((seed) => evaluations(bayesian, seed, 200)));
  const model = (config: Config) => (syntheticCost(config) ?? 10) * (1 + Number(config.unroll) / 8);
  const told = median(SEEDS.map((seed) => evaluations(bayesian, seed, 200, { model })));
  ok(told < without, `${told} with a model, ${without} without`);
  const noise = (config: Config) => 1 + configKey(config).length % 5;
  const misled = median(SEEDS.map((seed) => evaluations(bayesian, seed, 200, { model: noise })));
  ok(misled < 2 * without, `${misled} with a model of noise, ${without} without`);
});

Deno.test("bayesian gets near the best in few evaluations after a similar problem, and a misleading one does not hold it up", () => {
  const rows = (cost: (config: Config) => number | undefined) =>
    listing(SYNTHETIC)!.filter((_, i) => i % 90 === 0).map((config) => ({ config, cost: cost(config) }));
  const hints = (cost: (config: Config) => number | undefined): Hints => ({ taught: { rows: rows(cost) } });
  // Twice as slow, and longer tasks do with less unrolling.
  const similar = (config: Config) => {
    const cost = syntheticCost(config);
    return cost && 2 * cost * (1 + Number(config.unroll) / 40);
  };
  const seeds = Array.from({ length: 15 }, (_, i) => i + 1);
  /** Percent above the optimum after so many evaluations, the geometric mean over the seeds. */
  const above = (count: number, hints: Hints = {}) =>
    100 * seeds.reduce((sum, seed) =>
      sum + Math.log(bestAfter(count, bayesian(SYNTHETIC, seed, hints), syntheticCost) / OPTIMUM), 0) /
    seeds.length;
  const [without, after] = [above(20), above(20, hints(similar))];
  ok(after * 1.75 < without, `${after} % after a similar problem, ${without} % without`);
  const misleading = (config: Config) => 1 / (syntheticCost(config) ?? 0.1);
  const misled = above(100, hints(misleading));
  ok(misled < 5, `${misled} % above the optimum after a misleading problem`);
});

Deno.test("bayesian tries first what it was taught to be the best of the configs that it is given", () => {
  const measured = listing(SYNTHETIC)!.filter((_, i) => i % 90 === 0);
  const rows = measured.map((config) => ({ config, cost: syntheticCost(config) }));
  const ranked = rows.filter(({ cost }) => cost !== undefined).sort((a, b) => a.cost! - b.cost!);
  const [good, bad] = [ranked[0].config, ranked.at(-1)!.config];
  deepStrictEqual(bayesian(SYNTHETIC, 1, { configs: [bad, good], taught: { rows } }).ask(), good);
  deepStrictEqual(bayesian(SYNTHETIC, 1, { configs: [bad, good] }).ask(), bad);
});

Deno.test("bayesian asks what was taught of the cost model at hand: what moved the optimum there is known here", () => {
  const space: Space = {
    params: ["tile", "splits"].map((name) => ({
      name,
      values: [...new Array(40).keys()].map((i) => i + 1),
      what: name,
      recompiles: true,
    })),
    constraints: [],
  };
  // The model knows where splits are best, not which tile is; that, the other problem taught.
  const model = (best: number) => ({ splits }: Config) => 1 + Math.abs(Math.log(Number(splits) / best));
  const cost = (best: number) => (config: Config) => model(best)(config) * (1 + Math.abs(Number(config.tile) - 7) / 10);
  const rows = listing(space)!.filter((_, i) => i % 37 === 0).map((config) => ({ config, cost: cost(4)(config) }));
  const run = bayesian(space, 1, { model: model(32), taught: { rows, model: model(4) } });
  const best = bestAfter(12, run, cost(32));
  ok(best <= 1.15, `${best} after 12 of 1600, where 1 is the best`);
});

Deno.test("bayesian prefers what is compiled already among what promises alike", () => {
  const changes = (hints: Hints) => {
    const run = bayesian(SYNTHETIC, 1, hints);
    let [layout, count]: [unknown, number] = [undefined, 0];
    for (let i = 0; i < 80; i++) {
      const config = run.ask()!;
      run.tell({ config, cost: syntheticCost(config) });
      count += config.layout === layout ? 0 : 1;
      layout = compiled = config.layout;
    }
    return count;
  };
  let compiled: unknown;
  const effort = (config: Config) => config.layout === compiled ? 1 : 8;
  const [free, costly] = [changes({}), changes({ effort })];
  ok(costly < free, `${costly} changes where they cost, ${free} where not`);
});

Deno.test("bayesian may be asked for several configs before the first is told, and proposes none twice", () => {
  const run = bayesian(SYNTHETIC, 1);
  const queue: Config[] = [];
  const seen = new Set<string>();
  let best = Infinity;
  for (let i = 0; i < 200; i++) {
    while (queue.length < 8) queue.push(run.ask()!);
    const config = queue.shift()!;
    seen.add(configKey(config));
    const cost = syntheticCost(config);
    run.tell({ config, cost });
    best = Math.min(best, cost ?? Infinity);
  }
  strictEqual(seen.size, 200);
  ok(best <= 1.05 * OPTIMUM, `${best / OPTIMUM}`);
});

Deno.test("bayesian goes on from what it is told, and does not propose it", () => {
  const told = listing(SYNTHETIC)!.filter((_, i) => i % 20 === 0);
  const run = bayesian(SYNTHETIC, 1);
  for (const config of told) run.tell({ config, cost: syntheticCost(config) });
  const keys = new Set(told.map(configKey));
  for (let i = 0; i < 20; i++) {
    const config = run.ask()!;
    ok(!keys.has(configKey(config)));
    run.tell({ config, cost: syntheticCost(config) });
  }
});

Deno.test("bayesian bears a space of one config, an empty one, and one in which everything fails", () => {
  const one: Space = { params: [{ name: "a", values: [1], what: "a", recompiles: true }], constraints: [] };
  const single = bayesian(one, 1);
  deepStrictEqual(single.ask(), { a: 1 });
  strictEqual(single.ask(), undefined);
  const none = { ...one, constraints: [{ name: "never", reason: "never", holds: () => false }] };
  strictEqual(bayesian(none, 1).ask(), undefined);
  const failing = bayesian(SYNTHETIC, 1);
  for (let i = 0; i < 40; i++) failing.tell({ config: failing.ask()!, cost: undefined });
  ok(failing.ask());
});

Deno.test("bayesian searches ten million combinations without listing them", () => {
  const digits = [...new Array(10).keys()];
  const large: Space = {
    params: ["a", "b", "c", "d", "e", "f", "g"].map((name) => ({ name, values: digits, what: name, recompiles: true })),
    constraints: [],
  };
  const cost = (config: Config) =>
    1 + large.params.reduce((sum, { name }) => sum + Math.abs(Number(config[name]) - 6), 0);
  const run = bayesian(large, 1);
  const best = bestAfter(100, run, cost);
  strictEqual(run.total, undefined);
  ok(best <= 3, `${best}, where random's best of a hundred is about 9`);
});
