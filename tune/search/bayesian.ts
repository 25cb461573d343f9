/**
 * Bayesian optimisation: a Gaussian process over the space says what each config may cost, and the next config is the one
 * that promises most. README.md tells how and why.
 *
 * - **lattice**: the space's admitted configs as points.
 * - **observation**: a point that was proposed, with its cost as soon as it is told.
 * - **pool**: the candidates at hand. Anew at every fit: the neighbours of the best, and draws from everywhere.
 * - **fit**: the process's hyperparameters are learned again; in between, observations are only added.
 *
 * @module
 */
import { randomSource } from "../../kernels/random_source.ts";
import { Lattice } from "./lattice.ts";
import type { StrategyFactory } from "./strategy.ts";
import { logImprovement } from "./surrogate/acquisition.ts";
import { type Point, pointKey } from "./surrogate/encoding.ts";
import { Covariance } from "./surrogate/kernel.ts";
import { learn } from "./surrogate/learn.ts";
import { Posterior } from "./surrogate/posterior.ts";
import { type Cost, targetsOf } from "./surrogate/targets.ts";

/** Observations before the first fit. */
const START = 15;

/** A new fit comes when the observations have grown by this factor. */
const GROWTH = 1.2;

/** Observations that the process holds at the most: half the best, half the latest. */
const HELD = 256;

/** Draws in a pool, the best observations whose neighbours join them, and room for those that climbing adds. */
const DRAWN = 1500;
const LEADERS = 8;
const CAPACITY = 4000;

/** Steps from the best candidate of the pool to a better neighbour of it. */
const CLIMBS = 2;

/** Steps of learning at a fit; the first fits start far from the truth. */
const STEPS = { early: 15, late: 8 };
const EARLY = 60;

/** Kept: how many deviations wide the search looks. Kernel landscapes are rougher than any smooth process expects. */
export const K = { widths: [2.5], acq: "lcb", nugget: 0 };

/** Candidates among which the one with the most promise for its effort is chosen. */
const WEIGHED = 32;

interface Observation {
  readonly point: Point;
  cost: Cost;
}

/** Proposes the config that promises the greatest improvement. */
export const bayesian: StrategyFactory = (space, seed, hints = {}) => {
  const random = randomSource(seed);
  const lattice = Lattice.of(space);
  const { encoding } = lattice;
  const covariance = new Covariance(encoding.axes);
  const known = new Map<string, Observation>();
  const draw = lattice.draws(random, known);
  const promising = (hints.configs ?? []).flatMap((config) => lattice.pointOf(config) ?? []);
  let fitted: { readonly at: number; readonly held: Observation[]; readonly posterior: Posterior } | undefined;
  let pooled = new Set<string>();
  let turn = 0;

  const isKnown = (point: Point) => known.has(pointKey(point));

  const pool = (posterior: Posterior, point: Point) => {
    const key = pointKey(point);
    if (known.has(key) || pooled.has(key) || posterior.count === posterior.capacity) return;
    pooled.add(key);
    posterior.addCandidate(point);
  };

  const fit = () => {
    const all = [...known.values()];
    const best = all.filter(({ cost }) => typeof cost === "number").sort((a, b) => Number(a.cost) - Number(b.cost));
    const kept = all.length <= HELD ? undefined : new Set([...best.slice(0, HELD / 2), ...all.slice(-HELD / 2)]);
    const held = kept ? all.filter((observation) => kept.has(observation)) : all;
    const told = held.filter(({ cost }) => cost !== "pending");
    const targets = Float64Array.from(targetsOf(told.map(({ cost }) => cost)) as number[]);
    learn(covariance, told.map(({ point }) => point), targets, told.length < EARLY ? STEPS.early : STEPS.late);
    const posterior = new Posterior(covariance, CAPACITY);
    pooled = new Set();
    for (const { point } of best.slice(0, LEADERS)) {
      for (const near of lattice.neighbours(point)) pool(posterior, near);
    }
    const { listed } = lattice;
    if (listed && listed.length <= 2 * DRAWN) listed.forEach((point) => pool(posterior, point));
    else {
      for (let i = 0; i < DRAWN; i++) {
        const point = draw();
        if (point) pool(posterior, point);
      }
    }
    for (const { point } of held) posterior.observe(point);
    fitted = { at: all.length, held, posterior };
    return fitted;
  };

  const choose = (): Point | undefined => {
    const { held, posterior } = fitted && known.size < fitted.at * GROWTH ? fitted : fit();
    const targets = targetsOf(held.map(({ cost }) => cost));
    posterior.settle(targets);
    const best = Math.min(...targets.filter((target) => target !== undefined));
    const width = K.widths[turn++ % K.widths.length];
    const promise = (c: number) => {
      const deviation = posterior.deviation(c);
      if (K.acq === "lcb") return width * deviation - posterior.mean[c];
      return logImprovement(posterior.mean[c], width * deviation, best);
    };
    const promises: number[] = [];
    let top = -1;
    const look = () => {
      const before = top;
      for (let c = promises.length; c < posterior.count; c++) {
        promises.push(isKnown(posterior.candidates[c]) ? -Infinity : promise(c));
        if (promises[c] > (promises[top] ?? -Infinity)) top = c;
      }
      return top !== before;
    };
    look();
    for (let climb = 0; climb < CLIMBS && top >= 0; climb++) {
      for (const near of lattice.neighbours(posterior.candidates[top])) pool(posterior, near);
      if (!look()) break;
    }
    if (top < 0) return draw();
    return posterior.candidates[top];
  };

  return {
    ask() {
      let point: Point | undefined;
      while (!point && promising.length > 0) {
        const next = promising.shift()!;
        if (!isKnown(next)) point = next;
      }
      point ??= known.size < START ? draw() : choose();
      if (!point) return undefined;
      const observation: Observation = { point, cost: "pending" };
      known.set(pointKey(point), observation);
      fitted?.posterior.observe(point);
      fitted?.held.push(observation);
      return encoding.decode(point);
    },
    tell({ config, cost }) {
      const point = lattice.pointOf(config);
      if (!point) return; // Measured where the space was wider.
      const observation = known.get(pointKey(point));
      if (observation) observation.cost = cost;
      else known.set(pointKey(point), { point, cost });
    },
    ...(lattice.listed && { total: lattice.listed.length }),
  };
};
