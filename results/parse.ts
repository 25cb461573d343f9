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
  boolean,
  fields,
  finite,
  index,
  integer,
  map,
  MAX_FIELDS,
  MAX_SHORT_TEXT,
  MAX_TEXT,
  NAME,
  NAME_RULE,
  notNegative,
  oneOf,
  parseText,
  positive,
  type Read,
  record,
  text,
  wrong,
} from "./readers.ts";
import {
  type BySize,
  type Config,
  type DeviceFields,
  type Evidence,
  type ParamValue,
  type Replicate,
  type Results,
  SCHEMA_VERSION,
  type Size,
  sizesOf,
} from "./types.ts";

/** The most sizes in one results file. */
const MAX_SIZES = 20_000;

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
  const root = record(parseText(json), "");
  // First, since another version may differ in everything else.
  if (Object.hasOwn(root, "schemaVersion")) version(root.schemaVersion, "schemaVersion");
  const results = readResults(root, "");
  checkSizes(results);
  checkParams(results);
  return results;
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

/** An array of as many as an object has fields at the most. */
function list<T>(what: string, read: Read<T>, min = 0): Read<T[]> {
  const expected = `${min === 0 ? "at most" : `${min} to`} ${MAX_FIELDS} ${what}`;
  return (value, path) => {
    if (!Array.isArray(value)) throw wrong(TypeError, value, path, expected);
    if (value.length < min || value.length > MAX_FIELDS) {
      throw wrong(RangeError, value.length, `${path}.length`, expected);
    }
    return value.map((item, i) => read(item, `${path}[${i}]`));
  };
}

const replicate: Read<Replicate> = fields<Replicate>({
  us: positive,
  interval,
  samples: count,
  baselineUs: positive,
  speedup: positive,
  speedupInterval: interval,
  toolchain: longText,
  driver: longText,
  date,
});

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
  noiseFloor: notNegative,
  seed: integer(0, Number.MAX_SAFE_INTEGER),
  readings: map(NAME, NAME_RULE, MAX_FIELDS, () => reading),
  warnings: list("texts", longText),
  replicates: list("replicates", replicate, 2),
}, ["noiseFloor", "seed", "readings", "warnings", "replicates"]);

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
