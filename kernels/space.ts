/**
 * Tuning spaces: what may be chosen, and which combinations are admitted.
 *
 * A space is a list of parameters with their values and a list of named constraints. A config is one value for each
 * parameter. Spaces are never enumerated unless asked: {@linkcode configs} is lazy, and {@linkcode sampleConfig} draws
 * without enumerating.
 *
 * @module
 */

/** A value that a parameter can take. */
export type ParamValue = number | string | boolean;

/** One value for each parameter of a space. */
export type Config = Readonly<Record<string, ParamValue>>;

/** Something that is chosen. */
export interface Param {
  readonly name: string;
  /** In their natural order where there is one: neighbours are tried as neighbours. */
  readonly values: readonly ParamValue[];
  /** One line: what the parameter does. */
  readonly what: string;
  /** False where a change of this value alone reuses the compiled program, so that sweeping it is cheap. */
  readonly recompiles: boolean;
  /** What a config without it means, where there are results from before the parameter. */
  readonly absent?: ParamValue;
}

/** A rule that every admitted config keeps. It has a name and a reason, so that a pruned config can be explained. */
export interface Constraint {
  readonly name: string;
  /** One line, for people: which limit, with its number. */
  readonly reason: string;
  holds(config: Config): boolean;
}

/** Every config that the constraints admit for a problem on a device. */
export interface Space {
  readonly params: readonly Param[];
  readonly constraints: readonly Constraint[];
}

/** The first constraint that `config` breaks, or undefined where it is admitted. */
export function brokenConstraint(space: Space, config: Config): Constraint | undefined {
  return space.constraints.find((constraint) => !constraint.holds(config));
}

/** Every combination, admitted or not, in the order of the parameters' values (the last parameter changes fastest). */
export function* combinations(space: Space): Generator<Config> {
  const { params } = space;
  const index = new Array<number>(params.length).fill(0);
  if (params.some((param) => param.values.length === 0)) return;
  while (true) {
    yield Object.fromEntries(params.map((param, i) => [param.name, param.values[index[i]]]));
    let i = params.length - 1;
    while (i >= 0 && ++index[i] === params[i].values.length) index[i--] = 0;
    if (i < 0) return;
  }
}

/** Every admitted config, lazily. */
export function* configs(space: Space): Generator<Config> {
  for (const config of combinations(space)) {
    if (!brokenConstraint(space, config)) yield config;
  }
}

/**
 * Draws one combination with equal probability for each, without enumerating the space.
 *
 * @param random Returns numbers in [0, 1).
 * @returns A combination; it may break a constraint ({@linkcode brokenConstraint} tells).
 */
export function sampleConfig(space: Space, random: () => number): Config {
  return Object.fromEntries(
    space.params.map(({ name, values }) => [name, values[Math.floor(random() * values.length)]]),
  );
}

/**
 * The part of a space in which some parameters keep to some of their values.
 *
 * @param only Values by parameter, as texts: `{ BLOCK_N: ["32", "64"] }`.
 * @throws {RangeError} Where a parameter or a value is none of the space's; the message has what it has.
 */
export function narrow(space: Space, only: Readonly<Record<string, readonly string[]>>): Space {
  const names = space.params.map(({ name }) => name);
  for (const [name, texts] of Object.entries(only)) {
    const param = space.params.find((param) => param.name === name);
    if (!param) throw new RangeError(`Cannot narrow the space: no parameter "${name}", expected ${names.join(", ")}`);
    const known = param.values.map(String);
    const unknown = texts.find((text) => !known.includes(text));
    if (unknown !== undefined) {
      throw new RangeError(`Cannot narrow the space: ${name} is never "${unknown}", expected ${known.join(", ")}`);
    }
  }
  const kept = (param: Param) =>
    Object.hasOwn(only, param.name)
      ? { ...param, values: param.values.filter((value) => only[param.name].includes(String(value))) }
      : param;
  return { ...space, params: space.params.map(kept) };
}

/** A canonical text for a config: equal configs give equal keys, whatever the order of their fields. */
export function configKey(config: Config): string {
  return Object.keys(config).sort().map((name) => `${name}=${config[name]}`).join(" ");
}

/**
 * Reads a config of this space from untrusted data.
 *
 * @throws {TypeError} Where `json` is no object, or lacks or exceeds the space's parameters; one that says what its
 * absence means may be lacking.
 * @throws {RangeError} Where a value is none of the parameter's values.
 */
export function parseConfig(space: Space, json: unknown): Config {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new TypeError(`Cannot read a config from ${JSON.stringify(json)}: expected an object`);
  }
  const given = json as Record<string, unknown>;
  const known = space.params.map((param) => param.name);
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot read a config: unknown parameter "${name}", expected ${known.join(", ")}`);
    }
  }
  return Object.fromEntries(space.params.map(({ name, values, absent }) => {
    const value = Object.hasOwn(given, name) ? given[name] as ParamValue : absent;
    if (value === undefined) throw new TypeError(`Cannot read a config: parameter "${name}" is missing`);
    if (!values.includes(value)) {
      throw new RangeError(
        `Cannot read a config: ${name} is ${JSON.stringify(value)}, expected one of ${values.join(", ")}`,
      );
    }
    return [name, value];
  }));
}
