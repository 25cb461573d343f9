/**
 * Tuned configs as files: read, look up, merge and write them.
 *
 * @module
 */
export * from "./types.ts";
export { type LoadOptions, loadResults } from "./load.ts";
export { MAX_RESULTS_LENGTH, parseResults } from "./parse.ts";
export { deviceSlug, type ResultsKey, resultsPath, SCHEMA_REFERENCE } from "./paths.ts";
export { type Lookup, lookup, type LookupQuery, type ResultsTable } from "./lookup.ts";
export { type Merge, type MergedEntry, type MergeOptions, mergeResults } from "./merge.ts";
export { stringifyResults } from "./stringify.ts";
export { writeResults, type Written } from "./write.ts";
