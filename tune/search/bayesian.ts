/**
 * Bayesian optimisation: a Gaussian process over the space says what each config may cost, and the next config is the one
 * that promises most. README.md tells how and why.
 *
 * - **observation**: a point that was proposed, with its cost as soon as it is told.
 * - **pool**: the candidates at hand. Anew at every fit: the neighbours of the best, and draws from everywhere.
 * - **fit**: what the process takes for granted is learned again; in between, observations are only added.
 *
 * @module
 */
import { randomSource } from "../../kernels/random_source.ts";
import type { Config } from "../../kernels/space.ts";
import { Lattice } from "./lattice.ts";
import type { Hints, StrategyFactory } from "./strategy.ts";
import { logImprovement } from "./surrogate/acquisition.ts";
import { type Encoding, type Point, pointKey } from "./surrogate/encoding.ts";
import { type Guess, type Observation, Surrogate } from "./surrogate/surrogate.ts";

/**
 * Observations before the first fit. Where there is a cost model, each is one of so many draws: in turn the best guess, and
 * any whose guess is within this factor of it. What is hopeless teaches little of what is not, and takes long to time.
 */
const START = 15;
const GUESSED = 32;
const HOPEFUL = 2;

/** Where a similar problem taught, so many of its best configs come first, and of the others up to START one in so many. */
const TAUGHT_START = 3;
const TAUGHT_DRAWS = 3;

/** Rows of a similar problem that teach at the most, and at the least. */
const MOST_TAUGHT = 64;
const LEAST_TAUGHT = 8;

/** A new fit comes when the observations have grown by this factor, or by so many. */
const GROWTH = 1.2;
const MOST_GROWTH = 64;

/** Observations that the process holds at the most: half the best, half the latest. */
const HELD = 256;

/** Draws in a pool, the best observations whose neighbours join them, and room for those that climbing adds. */
const DRAWN = 1500;
const LEADERS = 8;
const CAPACITY = 4000;

/** Steps from the best candidate of the pool to a better neighbour of it. */
const CLIMBS = 2;

/**
 * How many deviations below its mean a candidate is hoped to be. Landscapes of kernels are rougher than any process that
 * was fitted to a few of their points takes them for, and a narrow hope (or expected improvement) stays on one hill.
 */
const HOPE = 2.5;

/** Candidates among which effort decides. */
const WEIGHED = 64;

/** Proposes the config that promises the greatest improvement. */
export const bayesian: StrategyFactory = (space, seed, hints = {}) => {
  const random = randomSource(seed);
  const lattice = Lattice.of(space);
  const { encoding, listed } = lattice;
  const { effort } = hints;
  const teacher = taughtBy(encoding, hints);
  const guess = teacher ?? modelled(encoding, hints.model);
  const surrogate = new Surrogate(encoding.axes, CAPACITY, guess);
  const known = new Map<string, Observation>();
  const draw = lattice.draws(random, known);
  const given = (hints.configs ?? []).flatMap((config) => lattice.pointOf(config) ?? []);
  // What was good elsewhere is tried first. Where more is known than that, the best by what is known; the rest are candidates.
  const promising = teacher
    ? given.toSorted((a, b) => teacher.at(a) - teacher.at(b)).slice(0, TAUGHT_START)
    : [...given];
  /** The pool by key; of the candidates that have become known since, the points. */
  let pooled = new Map<string, Point>();
  let gone = new Set<Point>();
  let fittedAt: number | undefined;
  let gain: number | undefined;

  const know = (observation: Observation) => {
    const key = pointKey(observation.point);
    known.set(key, observation);
    const candidate = pooled.get(key);
    if (candidate) gone.add(candidate);
  };

  /** The points that are neither known nor in the pool; they are in it afterwards. */
  const unpooled = (points: Iterable<Point>) =>
    [...points].filter((point) => {
      const key = pointKey(point);
      if (known.has(key) || pooled.has(key)) return false;
      pooled.set(key, point);
      return true;
    });

  const fit = () => {
    const all = [...known.values()];
    const best = all.filter(({ cost }) => typeof cost === "number").sort((a, b) => Number(a.cost) - Number(b.cost));
    const kept = all.length <= HELD ? undefined : new Set([...best.slice(0, HELD / 2), ...all.slice(-HELD / 2)]);
    pooled = new Map();
    gone = new Set();
    const leaders = best.slice(0, LEADERS).flatMap(({ point }) => unpooled(lattice.neighbours(point)));
    const near = [...unpooled(given), ...leaders];
    const whole = listed && listed.length <= 2 * DRAWN;
    const drawn = unpooled(whole ? listed : Array.from({ length: DRAWN }, () => draw() ?? []).flat());
    surrogate.fit(kept ? all.filter((observation) => kept.has(observation)) : all, [...near, ...drawn]);
    fittedAt = all.length;
  };

  const choose = (): Point | undefined => {
    if (fittedAt === undefined || known.size >= Math.min(fittedAt * GROWTH, fittedAt + MOST_GROWTH)) fit();
    surrogate.settle();
    const promise = (c: number) => HOPE * surrogate.deviation(c) - surrogate.mean(c);
    const promises: number[] = [];
    let top = -1;
    const look = () => {
      const before = top;
      for (let c = promises.length; c < surrogate.candidates.length; c++) {
        promises.push(gone.has(surrogate.candidates[c]) ? -Infinity : promise(c));
        if (promises[c] > (promises[top] ?? -Infinity)) top = c;
      }
      return top !== before;
    };
    look();
    for (let climb = 0; climb < CLIMBS && top >= 0; climb++) {
      unpooled(lattice.neighbours(surrogate.candidates[top])).forEach((point) => surrogate.addCandidate(point));
      if (!look()) break;
    }
    if (top < 0) return draw();
    if (effort) top = worthMost(promises, effort);
    const improvement = logImprovement(surrogate.mean(top), HOPE * surrogate.deviation(top), surrogate.best);
    gain = Math.exp(improvement) * surrogate.scale;
    return surrogate.candidates[top];
  };

  /** Of the candidates that promise most, the one that promises most for its effort. */
  const worthMost = (promises: readonly number[], effort: (config: Config) => number): number => {
    const worth = (c: number) =>
      logImprovement(surrogate.mean(c), HOPE * surrogate.deviation(c), surrogate.best) -
      Math.log(effort(encoding.decode(surrogate.candidates[c])));
    const top = [...promises.keys()].filter((c) => promises[c] > -Infinity).sort((a, b) => promises[b] - promises[a])
      .slice(0, WEIGHED).map((c) => ({ c, worth: worth(c) }));
    return top.reduce((most, one) => one.worth > most.worth ? one : most).c;
  };

  /** Whether it is too early to choose. */
  const isBeginning = () =>
    teacher
      ? known.size < TAUGHT_START || known.size < START && known.size % TAUGHT_DRAWS === TAUGHT_DRAWS - 1
      : known.size < START;

  /** A point to begin with. */
  const begin = (): Point | undefined => {
    if (!guess) return draw();
    const drawn = Array.from({ length: GUESSED }, () => draw() ?? []).flat() as Point[];
    const guesses = drawn.map(guess.at);
    const least = Math.min(...guesses);
    const most = known.size % 2 === 0 ? least + Math.log(HOPEFUL) : least;
    return drawn[guesses.findIndex((at) => at <= most)];
  };

  return {
    ask() {
      while (promising.length > 0 && known.has(pointKey(promising[0]))) promising.shift();
      const point = promising.shift() ?? (isBeginning() ? begin() : choose());
      if (!point) return undefined;
      const observation: Observation = { point, cost: "pending" };
      know(observation);
      if (fittedAt !== undefined) surrogate.observe(observation);
      return encoding.decode(point);
    },
    tell({ config, cost }) {
      const point = lattice.pointOf(config);
      if (!point) return; // Measured where the space was wider.
      const observation = known.get(pointKey(point));
      if (observation) observation.cost = cost;
      else know({ point, cost });
    },
    get gain() {
      return known.size < START ? undefined : gain; // Too little is known to say so.
    },
    ...(listed && { total: listed.length }),
  };
};

/** The logarithm of the cost model at a point. */
function modelled({ decode }: Encoding, model: Hints["model"]): Guess | undefined {
  if (!model) return undefined;
  const at = (point: Point) => {
    const cost = model(decode(point));
    if (cost > 0 && cost < Infinity) return Math.log(cost);
    throw new RangeError(`Cannot use the cost model: it gives ${cost}, expected a positive number`);
  };
  return { at, trusted: false };
}

/**
 * What a similar problem taught: a process that was fitted to what was measured there, whose mean is that problem's cost
 * model, and this one's when it is asked.
 */
function taughtBy(encoding: Encoding, { taught, model }: Hints): Guess | undefined {
  const rows = (taught?.rows ?? []).flatMap(({ config, cost }) => {
    const point = encoding.encode(config);
    return point ? [{ point, cost }] : [];
  });
  if (!taught || rows.length < LEAST_TAUGHT || rows.every(({ cost }) => cost === undefined)) return undefined;
  rows.sort((a, b) => (a.cost ?? Infinity) - (b.cost ?? Infinity));
  const count = Math.min(rows.length, MOST_TAUGHT);
  const kept = Array.from({ length: count }, (_, i) => rows[Math.ceil(i * rows.length / count)]); // Good ones and bad.
  const [there, here] = [modelled(encoding, model && taught.model), modelled(encoding, taught.model && model)];
  const teacher = new Surrogate(encoding.axes, 0, there);
  teacher.fit(kept, []);
  teacher.settle();
  const known = new Map<string, number>();
  const at = (point: Point) => {
    const key = pointKey(point);
    const cost = known.get(key) ?? teacher.logCostAt(point, here?.at(point));
    known.set(key, cost);
    return cost;
  };
  return { at, trusted: true };
}
