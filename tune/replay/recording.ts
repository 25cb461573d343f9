/**
 * A recording: a space in which the cost of every config is known, so that a search can be replayed without a device.
 *
 * @module
 */
import { type Config, configKey, type Param, type ParamValue, type Space } from "../../kernels/space.ts";

/** One config of a recording. */
export interface Entry {
  readonly config: Config;
  /** Time in any one unit; undefined where the config failed. */
  readonly cost: number | undefined;
}

/** What every reader of recordings gives. */
export interface Recorded {
  readonly name: string;
  readonly device?: string;
  /** In their order; a value that no entry has may be among them. */
  readonly params: readonly Pick<Param, "name" | "values" | "recompiles">[];
  readonly entries: readonly Entry[];
}

/** A recording that can be replayed. */
export interface Recording extends Recorded {
  /** The recorded configs and no others. */
  readonly space: Space;
  /** The lowest cost. */
  readonly optimum: number;
  /** What a device would say: undefined where the config failed. */
  costOf(config: Config): number | undefined;
}

/**
 * Makes a recording out of what a reader gave.
 *
 * @throws {RangeError} Where no config has a cost.
 */
export function recordingOf(recorded: Recorded): Recording {
  const { name, params, entries } = recorded;
  const costs = new Map(entries.map(({ config, cost }) => [configKey(config), cost]));
  const optimum = entries.reduce((least, { cost }) => Math.min(least, cost ?? Infinity), Infinity);
  if (optimum === Infinity) throw new RangeError(`Cannot replay "${name}": none of its ${entries.length} configs ran`);
  return {
    ...recorded,
    space: {
      params: params.map((param) => ({ ...param, what: "recorded" })),
      constraints: [{
        name: "recorded",
        reason: "no other configs were measured",
        holds: holder(params.map(({ name }) => name), entries),
      }],
    },
    optimum,
    costOf: (config) => costs.get(configKey(config)),
  };
}

type Branch = Map<ParamValue, Branch>;

/** True for the entries' configs. Reads parameters in their order, so that a listing can leave a branch early. */
function holder(names: readonly string[], entries: readonly Entry[]): (config: Config) => boolean {
  const root: Branch = new Map();
  for (const { config } of entries) {
    let branch = root;
    for (const name of names) {
      if (!branch.has(config[name])) branch.set(config[name], new Map());
      branch = branch.get(config[name])!;
    }
  }
  return (config) => {
    let branch: Branch | undefined = root;
    for (const name of names) branch = branch?.get(config[name]);
    return branch !== undefined;
  };
}

/** The parameters of configs that come without a list of values: numbers ascending, all else as it comes. */
export function paramsOf(configs: readonly Config[]): Recorded["params"] {
  return Object.keys(configs[0] ?? {}).map((name) => {
    const values = [...new Set(configs.map((config) => config[name]))];
    if (values.every((value) => typeof value === "number")) values.sort((a, b) => Number(a) - Number(b));
    return { name, values, recompiles: true };
  });
}
