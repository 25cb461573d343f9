/**
 * Reads results files that anyone may have written: nothing is evaluated, everything is bounded and checked.
 *
 * `schema.json` says the same of each value by itself. Beyond it, this checks what relates values to each other: that
 * `configs` and `evidence` have the same sizes, that intervals are in order, that parameters are those of the kernel on the
 * backend with values that it can have, and that the whole is small.
 *
 * @module
 */
import { checkParams } from "./check_params.ts";
import {
  type BySize,
  type Config,
  type DeviceFields,
  type Evidence,
  type ParamValue,
  type Results,
  SCHEMA_VERSION,
  type Size,
  sizesOf,
} from "./types.ts";

/** The longest results text that is read, in UTF-16 units (bytes, as far as it is ASCII). */
export const MAX_RESULTS_LENGTH = 8 * 2 ** 20;

/** The most sizes in one results file. */
const MAX_SIZES = 20_000;
const MAX_FIELDS = 64;
const MAX_TEXT = 4096;
const MAX_SHORT_TEXT = 256;

const NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;
const KERNEL_NAME = /^[a-z][a-z0-9_-]{0,63}$/;
const SM_COUNT = /^[1-9][0-9]{0,5}$/;
const CONTEXT_LEN = /^[1-9][0-9]{0,8}$/;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$/;

/** Integer parameters that every kernel means the same by, with the largest value that makes sense. */
const INTEGER_PARAMS: Readonly<Record<string, number>> = {
  BLOCK_M: 65_536,
  BLOCK_N: 65_536,
  num_stages: 64,
  num_warps: 64,
  max_kv_splits: 65_536,
};

/** Reads one value at a path, or throws with the path, the value and what is accepted. */
type Read<T> = (value: unknown, path: string) => T;

/**
 * Reads a results file.
 *
 * @example
 * ```ts
 * import { parseResults } from "./parse.ts";
 *
 * try {
 *   parseResults('{ "schemaVersion": 9 }');
 * } catch (error) {
 *   const { message } = error as Error;
 *   if (message !== "Cannot read results: schemaVersion is 9, expected 1") throw error;
 * }
 * ```
 *
 * @param json The text of the file, or what `JSON.parse` or a JSON import gave for it.
 * @returns A copy that has nothing but what was checked.
 * @throws {SyntaxError} Where the text is no JSON.
 * @throws {TypeError} Where a field is missing, unknown or of the wrong type; the message has its path.
 * @throws {RangeError} Where a value is out of bounds, or the whole is too large; the message has its path.
 */
export function parseResults(json: unknown): Results {
  const root = record(typeof json === "string" ? parseText(json) : json, "");
  // First, since another version may differ in everything else.
  if (Object.hasOwn(root, "schemaVersion")) version(root.schemaVersion, "schemaVersion");
  const results = readResults(root, "");
  checkSizes(results);
  checkParams(results);
  return results;
}

function parseText(text: string): unknown {
  if (text.length > MAX_RESULTS_LENGTH) {
    throw new RangeError(
      `Cannot read results: the text has ${text.length} characters, expected at most ${MAX_RESULTS_LENGTH}`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = (error as Error).message.replaceAll(/\s+/g, " "); // it quotes the text, line ends included
    throw new SyntaxError(`Cannot read results: ${message}, expected a JSON document`, { cause: error });
  }
}

function checkSizes({ configs, evidence }: Results): void {
  const sizes = sizesOf(configs);
  if (sizes.length > MAX_SIZES) {
    throw new RangeError(`Cannot read results: configs has ${sizes.length} entries, expected at most ${MAX_SIZES}`);
  }
  requireSame(sizes, evidence, "evidence", "one for each of configs");
  requireSame(sizesOf(evidence), configs, "configs", "one for each of evidence");
}

function requireSame(sizes: readonly Size[], table: BySize<unknown>, name: string, expected: string): void {
  for (const { smCount, contextLen } of sizes) {
    if (!Object.hasOwn(table, smCount) || !Object.hasOwn(table[smCount], contextLen)) {
      throw new TypeError(
        `Cannot read results: ${name}${index(String(smCount))}${
          index(String(contextLen))
        } is missing, expected ${expected}`,
      );
    }
  }
}

const boolean: Read<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw wrong(TypeError, value, path, "true or false");
  return value;
};

function text(maxLength: number, pattern?: RegExp, what = "text"): Read<string> {
  const expected = pattern ? `${what} matching ${pattern.source}` : `${what} of at most ${maxLength} characters`;
  return (value, path) => {
    if (typeof value !== "string") throw wrong(TypeError, value, path, expected);
    if (value.length > maxLength || pattern?.test(value) === false) throw wrong(RangeError, value, path, expected);
    return value;
  };
}

function oneOf<const T extends string | number>(...values: T[]): Read<T> {
  const expected = values.map((value) => JSON.stringify(value)).join(" or ");
  return (value, path) => {
    if (!values.includes(value as T)) throw wrong(RangeError, value, path, expected);
    return value as T;
  };
}

function number(expected: string, accept: (value: number) => boolean): Read<number> {
  return (value, path) => {
    if (typeof value !== "number") throw wrong(TypeError, value, path, expected);
    if (!Number.isFinite(value) || !accept(value)) throw wrong(RangeError, value, path, expected);
    return value;
  };
}

function integer(min: number, max: number): Read<number> {
  return number(
    `an integer from ${min} to ${max}`,
    (value) => Number.isInteger(value) && value >= min && value <= max,
  );
}

/** An object whose names are free: as many as `max`, each matching `pattern`. */
function map<T>(pattern: RegExp, what: string, max: number, read: (name: string) => Read<T>): Read<Record<string, T>> {
  return (value, path) => {
    const given = record(value, path);
    const names = Object.keys(given);
    if (names.length > max) {
      throw new RangeError(`Cannot read results: ${path} has ${names.length} fields, expected at most ${max}`);
    }
    const result: Record<string, T> = {};
    for (const name of names) {
      if (!pattern.test(name) || isPrototypeName(name)) {
        throw new RangeError(`Cannot read results: ${path} has the field ${show(name)}, expected ${what}`);
      }
      result[name] = read(name)(given[name], NAME.test(name) ? `${path}.${name}` : path + index(name));
    }
    return result;
  };
}

/** An object with exactly these fields, of which the `optional` ones may be absent. */
function fields<T>(readers: { readonly [K in keyof T]-?: Read<T[K]> }, optional: readonly (keyof T)[] = []): Read<T> {
  const names = Object.keys(readers) as (keyof T & string)[];
  return (value, path) => {
    const given = record(value, path);
    const at = (name: string) => path === "" ? name : `${path}.${name}`;
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(readers, name)) {
        const where = path === "" ? "the file" : path;
        throw new TypeError(
          `Cannot read results: ${where} has the unknown field ${show(name)}, expected ${names.join(", ")}`,
        );
      }
    }
    const result: Partial<T> = {};
    for (const name of names) {
      if (!Object.hasOwn(given, name)) {
        if (optional.includes(name)) continue;
        throw new TypeError(`Cannot read results: ${at(name)} is missing, expected ${names.join(", ")}`);
      }
      result[name] = readers[name](given[name], at(name));
    }
    return result as T;
  };
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(TypeError, value, path === "" ? "the file" : path, "an object");
  }
  return value as Record<string, unknown>;
}

const finite = number("a finite number", () => true);
const notNegative = number("a number from 0 up", (value) => value >= 0);
const positive = number("a number above 0", (value) => value > 0);

const interval: Read<[number, number]> = (value, path) => {
  const expected = "[low, high] with 0 ≤ low ≤ high";
  if (!Array.isArray(value) || value.length !== 2) throw wrong(TypeError, value, path, expected);
  const [low, high] = [notNegative(value[0], `${path}[0]`), notNegative(value[1], `${path}[1]`)];
  if (low > high) throw wrong(RangeError, value, path, expected);
  return [low, high];
};

const paramValue: Read<ParamValue> = (value, path) => {
  if (typeof value === "boolean") return value;
  if (typeof value === "number") return finite(value, path);
  if (typeof value === "string") return text(MAX_SHORT_TEXT)(value, path);
  throw wrong(TypeError, value, path, "a number, text or boolean");
};

const NAME_RULE = "a name of letters, digits and _ that no object inherits";

const config: Read<Config> = map<ParamValue>(
  NAME,
  NAME_RULE,
  MAX_FIELDS,
  (name) => Object.hasOwn(INTEGER_PARAMS, name) ? integer(1, INTEGER_PARAMS[name]) : paramValue,
);

const version = oneOf(SCHEMA_VERSION);
const count = integer(1, Number.MAX_SAFE_INTEGER);
const shortText = text(MAX_SHORT_TEXT);
const longText = text(MAX_TEXT);
const kernelName = text(64, KERNEL_NAME, "a name");

const date: Read<string> = (value, path) => {
  const read = text(64, DATE, "an ISO 8601 time in UTC")(value, path);
  if (Number.isNaN(Date.parse(read))) throw wrong(RangeError, value, path, "an ISO 8601 time that exists");
  return read;
};

const reading: Read<number | string> = (value, path) =>
  typeof value === "number" ? finite(value, path) : shortText(value, path);

const texts: Read<string[]> = (value, path) => {
  const expected = `at most ${MAX_FIELDS} texts`;
  if (!Array.isArray(value)) throw wrong(TypeError, value, path, expected);
  if (value.length > MAX_FIELDS) throw wrong(RangeError, value.length, `${path}.length`, expected);
  return value.map((item, i) => longText(item, `${path}[${i}]`));
};

const readEvidence: Read<Evidence> = fields<Evidence>({
  us: positive,
  interval,
  samples: count,
  baselineUs: positive,
  baselineConfig: config,
  speedup: positive,
  speedupInterval: interval,
  relError: notNegative,
  errors: map(NAME, NAME_RULE, MAX_FIELDS, () => finite),
  workspaceBytes: integer(0, Number.MAX_SAFE_INTEGER),
  gbps: notNegative,
  tflops: notNegative,
  clock: oneOf("device", "cpu"),
  coldCache: boolean,
  partition: boolean,
  chosen: oneOf("tuned", "baseline"),
  toolchain: longText,
  driver: longText,
  sourceHash: shortText,
  kvtune: shortText,
  date,
  command: longText,
  readings: map(NAME, NAME_RULE, MAX_FIELDS, () => reading),
  warnings: texts,
}, ["readings", "warnings"]);

const readResults: Read<Results> = fields<Results>({
  $schema: longText,
  schemaVersion: version,
  kernel: kernelName,
  backend: kernelName,
  device: fields<DeviceFields>({
    name: text(MAX_SHORT_TEXT, /\S/, "a name"),
    arch: shortText,
    smCount: integer(1, 999_999),
    software: boolean,
  }),
  problem: map(NAME, NAME_RULE, MAX_FIELDS, () => paramValue),
  configs: bySize(config),
  evidence: bySize(readEvidence),
}, ["$schema"]);

function bySize<T>(read: Read<T>): Read<Record<string, Record<string, T>>> {
  const contexts = map(CONTEXT_LEN, "context lengths: integers from 1 up", MAX_SIZES, () => read);
  return map(SM_COUNT, "SM counts: integers from 1 up", MAX_SIZES, () => contexts);
}

/** Names that every object inherits, or that code reaches prototypes by. */
function isPrototypeName(name: string): boolean {
  return name in Object.prototype || name === "prototype";
}

function index(name: string): string {
  return `[${show(name)}]`;
}

/** A value for a message, in one short line. */
function show(value: unknown): string {
  let shown: string | undefined;
  try {
    shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  } catch {
    // A cycle or a BigInt, which no JSON text gives.
  }
  shown ??= String(typeof value);
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}

function wrong(kind: typeof TypeError | typeof RangeError, value: unknown, path: string, expected: string): Error {
  return new kind(`Cannot read results: ${path} is ${show(value)}, expected ${expected}`);
}
