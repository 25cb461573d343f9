/**
 * Tuned configs as files: read, look up, merge and write them.
 *
 * @module
 */
export * from "./types.ts";
export { type LoadOptions, loadResults } from "./load.ts";
export { parseResults } from "./parse.ts";
export { MAX_RESULTS_LENGTH } from "./readers.ts";
export { deviceSlug, type ResultsKey, resultsPath, SCHEMA_REFERENCE } from "./paths.ts";
export {
  type Confidence,
  type FormulaLookup,
  type Lookup,
  lookup,
  type LookupQuery,
  type MeasuredLookup,
  type ResultsTable,
} from "./lookup.ts";
export { type Merge, type MergedEntry, type MergeOptions, mergeResults } from "./merge.ts";
export { stringifyResults } from "./stringify.ts";
export { writeResults, type Written } from "./write.ts";
export { findResults, type FoundResults } from "./find.ts";
export { INDEX_NAME, INDEX_VERSION, type IndexEntry, loadIndex, parseIndex, type RegistryIndex } from "./registry.ts";
export { type IndexChanges, refreshIndexes, resultsFiles, writeIndexes } from "./write_index.ts";
export { type PrunedEntry, pruneResults } from "./prune.ts";
