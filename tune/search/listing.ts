/**
 * Lists a space by assigning one parameter after the other, and leaves a branch as soon as a constraint is
 * broken by what is assigned so far. Spaces whose constraints admit a few in a thousand combinations are listed in a
 * fraction of a second.
 *
 * A constraint is a function of a whole config. Here it is given a partial one that throws where an unassigned parameter
 * is read: a constraint that answers all the same has decided the branch.
 *
 * @module
 */
import {
  brokenConstraint,
  type Config,
  type Constraint,
  type ParamValue,
  sampleConfig,
  type Space,
} from "../../kernels/space.ts";

/** Admitted configs of a space that may be listed whole. */
export const LISTED = 100_000;

/** Partial configs that a listing may look at before the space counts as too large: under a second. */
const LOOKS = 400_000;

/** Draws that may miss in a row before a space counts as empty or used up. */
const MISSES = 100_000;

/** What a partial config throws; one object, since it is thrown often. */
const UNASSIGNED = Symbol("unassigned");
const TOO_MANY = Symbol("too many");

/** Every admitted config, lazily, in the order of the parameters' values (the last parameter changes fastest). */
export function* admitted(space: Space, looks: number = Infinity): Generator<Config> {
  const { params } = space;
  let left = looks;
  function* branch(assigned: Config, depth: number, open: readonly Constraint[]): Generator<Config> {
    if (depth === params.length) {
      yield assigned;
      return;
    }
    const { name, values } = params[depth];
    for (const value of values) {
      if (--left < 0) throw TOO_MANY;
      // A new object each time: constraints remember configs by their identity.
      const config = { ...assigned, [name]: value };
      const still = undecided(open, depth + 1 === params.length ? config : new Proxy(config, PARTIAL));
      if (still) yield* branch(config, depth + 1, still);
    }
  }
  yield* branch({}, 0, space.constraints);
}

/** Draws admitted configs, each equally likely, without listing them. Undefined where none can be found. */
export function sampler(space: Space, random: () => number): () => Config | undefined {
  return () => {
    for (let miss = 0; miss < MISSES; miss++) {
      const config = sampleConfig(space, random);
      if (!brokenConstraint(space, config)) return config;
    }
  };
}

const listings = new WeakMap<Space, readonly Config[] | undefined>();

/** Every admitted config, or undefined where they are more than {@linkcode LISTED} or too slow to list. */
export function listing(space: Space): readonly Config[] | undefined {
  if (!listings.has(space)) listings.set(space, list(space));
  return listings.get(space);
}

function list(space: Space): readonly Config[] | undefined {
  const all: Config[] = [];
  try {
    for (const config of admitted(space, LOOKS)) {
      if (all.push(config) > LISTED) return undefined;
    }
  } catch (error) {
    if (error === TOO_MANY) return undefined;
    throw error;
  }
  return all;
}

/** The constraints that a config in the making leaves open, or undefined where it breaks one. */
function undecided(constraints: readonly Constraint[], config: Config): Constraint[] | undefined {
  const open: Constraint[] = [];
  for (const constraint of constraints) {
    try {
      if (!constraint.holds(config)) return undefined;
    } catch (error) {
      if (error !== UNASSIGNED) throw error;
      open.push(constraint);
    }
  }
  return open;
}

const PARTIAL: ProxyHandler<Record<string, ParamValue>> = {
  get(target, name) {
    if (typeof name === "string" && !Object.hasOwn(target, name)) throw UNASSIGNED;
    return target[name as string];
  },
  ownKeys() {
    throw UNASSIGNED;
  },
};
