/**
 * Where a results file is: one path for each (kernel, backend, device, problem), so that a consumer computes it and
 * fetches one file.
 *
 * @module
 */

/** What a results file is about. */
export interface ResultsKey {
  /** For example `mla_decode`. */
  readonly kernel: string;
  /** `webgpu`, `cuda` or `triton`. */
  readonly backend: string;
  /** The device's name as its driver gives it, or an object that has it. */
  readonly device: string | { readonly name: string };
  /**
   * The problem's name ("heads16-batch1-fp8_e4m3"), or its fields. Fields that have no `name` are named by `heads`,
   * `batch` and `kvType`, which is the name of a problem that has the default for all others.
   */
  readonly problem: string | { readonly [field: string]: unknown };
}

const NAME = /^[a-z][a-z0-9_-]{0,63}$/;
const MAX_SLUG = 120;

/** From a results file to `schema.json`: every file is three folders deep. */
export const SCHEMA_REFERENCE = "../../../schema.json";

/**
 * The path of a results file below its results folder, with `/` between its parts.
 *
 * @example
 * ```ts
 * import { resultsPath } from "./paths.ts";
 *
 * const path = resultsPath({
 *   kernel: "mla_decode",
 *   backend: "cuda",
 *   device: "NVIDIA H200",
 *   problem: { heads: 16, batch: 1, kvType: "fp8_e4m3" },
 * });
 * if (path !== "mla_decode/cuda/nvidia-h200/heads16-batch1-fp8_e4m3.json") throw new Error(path);
 * ```
 *
 * @throws {RangeError} Where a part has no name that a path can have.
 */
export function resultsPath({ kernel, backend, device, problem }: ResultsKey): string {
  requireName("kernel", kernel);
  requireName("backend", backend);
  const deviceName = typeof device === "string" ? device : device.name;
  return `${kernel}/${backend}/${slug("device", deviceName)}/${slug("problem", problemName(problem))}.json`;
}

/**
 * A device's name as a folder: lower case, accents dropped, and one `-` for each run of anything but letters, digits,
 * `_` and `.`. "llvmpipe (LLVM 15.0.6, 256 bits)" becomes "llvmpipe-llvm-15.0.6-256-bits".
 *
 * @throws {RangeError} Where nothing is left of the name.
 */
export function deviceSlug(name: string): string {
  return slug("device", name);
}

function slug(what: string, name: string): string {
  const plain = name.normalize("NFKD").replaceAll(/\p{Mark}/gu, "").toLowerCase();
  // No dot at either end: neither a hidden file nor "..".
  const result = plain.replaceAll(/[^a-z0-9_.]+/g, "-").replaceAll(/^[-.]+|[-.]+$/g, "");
  if (result === "" || result.length > MAX_SLUG) {
    throw new RangeError(
      `Cannot make a path from the ${what} ${JSON.stringify(name)}: expected 1 to ${MAX_SLUG} letters, digits, _ or .`,
    );
  }
  return result;
}

function problemName(problem: ResultsKey["problem"]): string {
  if (typeof problem === "string") return problem;
  const { name, heads, batch, kvType } = problem;
  if (typeof name === "string") return name;
  if (heads === undefined || batch === undefined || kvType === undefined) {
    throw new RangeError(
      `Cannot make a path from the problem ${JSON.stringify(problem)}: expected a name, or heads, batch and kvType`,
    );
  }
  return `heads${heads}-batch${batch}-${kvType}`;
}

function requireName(what: string, name: string): void {
  if (!NAME.test(name)) {
    throw new RangeError(
      `Cannot make a path from the ${what} ${JSON.stringify(name)}: expected a name matching ${NAME.source}`,
    );
  }
}
