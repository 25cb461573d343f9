/**
 * kvtune: tuned configs for MLA decode attention from an FP8 KV cache, and what goes with them.
 *
 * Import it from a URL; it needs no import map, no dependency, and no permission but net in {@linkcode findResults},
 * {@linkcode loadResults} and {@linkcode loadIndex}.
 *
 * @example Look up the config for a GPU and a context length
 * ```ts
 * import { lookup, resultsPath } from "./mod.ts";
 *
 * const path = resultsPath({
 *   kernel: "mla_decode",
 *   backend: "cuda",
 *   device: "NVIDIA H200",
 *   problem: { heads: 16, batch: 1, kvType: "fp8_e4m3" },
 * });
 * if (path !== "mla_decode/cuda/nvidia-h200/heads16-batch1-fp8_e4m3.json") throw new Error(path);
 *
 * // `import table from "https://…/results/<path>" with { type: "json" }` gives such an object:
 * const table = { configs: { "132": { "1024": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 33 } } } };
 * const { match, config } = lookup(table, { smCount: 132, contextLen: 1024 });
 * if (match !== "exact" || config.BLOCK_N !== 64) throw new Error(match);
 * ```
 *
 * @example Splits of a batch, as serving systems compute them
 * ```ts
 * import { kvSplitsCap, numKvSplits } from "./mod.ts";
 *
 * const cap = kvSplitsCap(8, 132, 8192);
 * const splits = numKvSplits({ contextLens: [8192, 100, 0], heads: 16, smCount: 132, cap });
 * if (splits.join() !== "256,4,0") throw new Error(splits.join());
 * ```
 *
 * @example Quantise to E4M3 and back
 * ```ts
 * import { decodeE4M3, encodeE4M3 } from "./mod.ts";
 *
 * if (decodeE4M3(encodeE4M3(0.3)) !== 0.3125) throw new Error("0.3125 is the nearest E4M3 value");
 * ```
 *
 * @module
 */
export { decodeE4M3, decodeE4M3Array, E4M3_MAX, encodeE4M3, encodeE4M3Array } from "./kernels/fp8.ts";
export { kvSplitsCap, type KvSplitsQuery, numKvSplits } from "./kernels/mla_decode/kv_splits.ts";
export type {
  ChoiceDomain,
  ConfigIn,
  IntegerDomain,
  ParamDomain,
  ParamDomains,
  ShapeDomain,
  ValueIn,
} from "./kernels/param_domain.ts";
export { KERNEL_PARAMS } from "./kernels/params.ts";
export { findResults, type FoundResults } from "./results/find.ts";
export { type LoadOptions, loadResults } from "./results/load.ts";
export {
  type Confidence,
  type FormulaLookup,
  type Lookup,
  lookup,
  type LookupQuery,
  type MeasuredLookup,
  type ResultsTable,
} from "./results/lookup.ts";
export { parseResults } from "./results/parse.ts";
export { deviceSlug, type ResultsKey, resultsPath } from "./results/paths.ts";
export { type IndexEntry, loadIndex, parseIndex, type RegistryIndex } from "./results/registry.ts";
export {
  type BackendName,
  type BySize,
  type Config,
  type ConfigFor,
  type DeviceFields,
  type Evidence,
  type KernelName,
  type ParamValue,
  type ProblemFields,
  type Replicate,
  type Results,
  type ResultsFor,
  SCHEMA_VERSION,
  type Size,
} from "./results/types.ts";
