/**
 * Problems of MLA decode: the sizes and types that are given.
 *
 * @module
 */
import type { Work } from "../kernel.ts";

/** How the KV cache is stored. */
export type KvType = "fp8_e4m3" | "f16" | "bf16";

/** How queries and outputs are stored. */
export type IoType = "f32" | "f16" | "bf16";

/**
 * How exact the products must be: `standard` has operands of 16 bits at the least; `fp8_p` also admits probabilities that
 * are rounded to E4M3 for the product with the values, as servers do over an FP8 cache (relative error up to 4e-2).
 */
export type Accuracy = "standard" | "fp8_p";

/**
 * One decode step over a paged MLA cache.
 *
 * q `[batch, heads, latent + rope]`, cache `[slots, latent + rope]`, out `[batch, heads, latent]`, lse `[batch, heads]`.
 */
export interface MlaDecodeProblem {
  /** Query heads, 1 to 128. */
  readonly heads: number;
  /** Width of the latent part of a cache row, which is also the value. DeepSeek: 512. */
  readonly latent: number;
  /** Width of the rope part of a cache row. DeepSeek: 64. */
  readonly rope: number;
  /** Requests. */
  readonly batch: number;
  /** Cached tokens of each request, 0 or more; `batch` of them. */
  readonly contextLens: readonly number[];
  /** Tokens a page; pages are shuffled in the cache. */
  readonly pageSize: number;
  readonly kvType: KvType;
  readonly ioType: IoType;
  /** The cache stores x / kvScale; logits and output are multiplied by it. */
  readonly kvScale: number;
  /** Softmax scale. DeepSeek: 1/√(128 + 64). */
  readonly smScale: number;
  /** Logits become cap · tanh(logit / cap); 0 for none. */
  readonly logitCap: number;
  /** Whether each head has an attention sink: a logit that takes weight and has no value. */
  readonly sinks: boolean;
  /** Classes never compete: each has results of its own. */
  readonly accuracy: Accuracy;
}

const FIELDS = [
  "heads",
  "latent",
  "rope",
  "batch",
  "contextLens",
  "pageSize",
  "kvType",
  "ioType",
  "kvScale",
  "smScale",
  "logitCap",
  "sinks",
  "accuracy",
];
const KV_TYPES: readonly KvType[] = ["fp8_e4m3", "f16", "bf16"];
const IO_TYPES: readonly IoType[] = ["f32", "f16", "bf16"];
const ACCURACIES: readonly Accuracy[] = ["standard", "fp8_p"];
const LATENT = 512;
const ROPE = 64;

/** Bytes of one element. */
export const ELEMENT_BYTES: Readonly<Record<KvType | IoType, number>> = { fp8_e4m3: 1, f16: 2, bf16: 2, f32: 4 };

/**
 * Reads a problem from untrusted data and fills in what is absent.
 *
 * Defaults: heads 16, latent 512, rope 64, batch 1 (or one request for each of `contextLens`), contextLens 2048,
 * pageSize 64, kvType "fp8_e4m3", ioType "f32", kvScale 1, smScale 1/√(latent/4 + rope), logitCap 0, sinks false,
 * accuracy "standard".
 * `contextLens` is one number for all requests, or an array with one for each.
 *
 * @throws {TypeError} Where `json` is no object, a field is unknown, or a field has the wrong type.
 * @throws {RangeError} Where a value is outside what is accepted.
 */
export function parseProblem(json: unknown): MlaDecodeProblem {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new TypeError(`Cannot read a problem of mla_decode from ${JSON.stringify(json)}: expected an object`);
  }
  const given = json as Record<string, unknown>;
  for (const name of Object.keys(given)) {
    if (!FIELDS.includes(name)) {
      throw new TypeError(
        `Cannot read a problem of mla_decode: unknown field "${name}", expected ${FIELDS.join(", ")}`,
      );
    }
  }
  const lens = given.contextLens;
  const batch = integer(given, "batch", Array.isArray(lens) ? lens.length : 1, 1, 65535);
  const latent = integer(given, "latent", LATENT, 64, 1024, 64);
  const rope = integer(given, "rope", ROPE, 0, 256, 16);
  const kvType = oneOf(given, "kvType", KV_TYPES, "fp8_e4m3");
  const accuracy = oneOf(given, "accuracy", ACCURACIES, "standard");
  if (accuracy === "fp8_p" && kvType !== "fp8_e4m3") {
    fail("accuracy", accuracy, `"standard" for a cache of ${kvType}`);
  }
  return {
    heads: integer(given, "heads", 16, 1, 128),
    latent,
    rope,
    batch,
    contextLens: contextLens(lens, batch),
    pageSize: integer(given, "pageSize", 64, 1, 65536),
    kvType,
    ioType: oneOf(given, "ioType", IO_TYPES, "f32"),
    kvScale: positive(given, "kvScale", 1),
    smScale: positive(given, "smScale", 1 / Math.sqrt(latent / 4 + rope)),
    logitCap: given.logitCap === 0 ? 0 : positive(given, "logitCap", 0),
    sinks: boolean(given, "sinks", false),
    accuracy,
  };
}

/**
 * The problem without its context lengths, for file names: "heads16-batch1-fp8_e4m3".
 *
 * What differs from the default is appended: "heads16-batch4-fp8_e4m3-io_f16-latent256-rope32-cap30-sinks-ragged".
 */
export function problemName(problem: MlaDecodeProblem): string {
  const { heads, latent, rope, batch, kvType, ioType, logitCap, sinks, accuracy } = problem;
  const parts = [`heads${heads}`, `batch${batch}`, kvType];
  // f32 is WebGPU's default and bf16 is CUDA's; no backend has both.
  if (ioType === "f16") parts.push("io_f16");
  if (latent !== LATENT) parts.push(`latent${latent}`);
  if (rope !== ROPE) parts.push(`rope${rope}`);
  if (logitCap !== 0) parts.push(`cap${logitCap}`);
  if (sinks) parts.push("sinks");
  if (isRagged(problem)) parts.push("ragged");
  if (accuracy !== "standard") parts.push(accuracy);
  return parts.join("-");
}

/** The fields that a results file records: all but context lengths, and the accuracy where it is not the standard one. */
export function problemFields(problem: MlaDecodeProblem): Record<string, number | string | boolean> {
  const { contextLens: _, accuracy, ...fields } = problem;
  return { ...fields, ragged: isRagged(problem), ...(accuracy !== "standard" && { accuracy }) };
}

/** The longest request: the context length that a results file files a problem under. */
export function maxContextLen(problem: MlaDecodeProblem): number {
  return problem.contextLens.reduce((longest, length) => Math.max(longest, length), 0);
}

/** Cached tokens of all requests. */
export function totalTokens(problem: MlaDecodeProblem): number {
  return problem.contextLens.reduce((sum, length) => sum + length, 0);
}

/** Bytes of one cache row. */
export function rowBytes(problem: MlaDecodeProblem): number {
  return (problem.latent + problem.rope) * ELEMENT_BYTES[problem.kvType];
}

/** What the problem moves and computes at the least: each row read once, each head's q·k and p·v. */
export function work(problem: MlaDecodeProblem): Work {
  const { heads, latent, rope, batch, ioType } = problem;
  const tokens = totalTokens(problem);
  const io = batch * heads * (latent + rope + latent) * ELEMENT_BYTES[ioType];
  return {
    bytes: tokens * (rowBytes(problem) + 4) + io + batch * heads * 4 + (batch + 1) * 4,
    flops: 2 * heads * tokens * (latent + rope + latent),
  };
}

function isRagged({ contextLens }: MlaDecodeProblem): boolean {
  return contextLens.some((length) => length !== contextLens[0]);
}

function contextLens(value: unknown, batch: number): number[] {
  if (!Array.isArray(value)) {
    return new Array(batch).fill(integer({ contextLens: value }, "contextLens", 2048, 0, 2 ** 24));
  }
  if (value.length !== batch) fail("contextLens", value, `${batch} lengths, one for each request of the batch`);
  return value.map((length, i) => integer({ [`contextLens[${i}]`]: length }, `contextLens[${i}]`, NaN, 0, 2 ** 24));
}

function integer(
  given: Record<string, unknown>,
  name: string,
  fallback: number,
  min: number,
  max: number,
  step = 1,
): number {
  const value = given[name] === undefined ? fallback : given[name];
  if (typeof value !== "number") fail(name, value, "a number", TypeError);
  if (!Number.isInteger(value) || value < min || value > max || value % step !== 0) {
    fail(name, value, `${step > 1 ? `a multiple of ${step}` : "an integer"} from ${min} to ${max}`);
  }
  return value;
}

function positive(given: Record<string, unknown>, name: string, fallback: number): number {
  if (given[name] === undefined) return fallback;
  const value = given[name];
  if (typeof value !== "number") fail(name, value, "a number", TypeError);
  if (!(value > 0 && value < 1e30)) fail(name, value, "a positive finite number");
  return value;
}

function oneOf<T extends string>(given: Record<string, unknown>, name: string, values: readonly T[], fallback: T): T {
  const value = given[name] === undefined ? fallback : given[name];
  if (!values.includes(value as T)) fail(name, value, `one of ${values.join(", ")}`);
  return value as T;
}

function boolean(given: Record<string, unknown>, name: string, fallback: boolean): boolean {
  const value = given[name] === undefined ? fallback : given[name];
  if (typeof value !== "boolean") fail(name, value, "true or false", TypeError);
  return value;
}

function fail(name: string, value: unknown, accepted: string, kind: typeof RangeError = RangeError): never {
  throw new kind(`Cannot read a problem of mla_decode: ${name} is ${JSON.stringify(value)}, expected ${accepted}`);
}
