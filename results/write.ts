/**
 * Writes results files: merged into what is there, whole or not at all, also with several writers at once.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { lockFolder } from "./files.ts";
import { type Merge, type MergedEntry, type MergeOptions, mergeResults } from "./merge.ts";
import { parseResults } from "./parse.ts";
import { resultsPath, SCHEMA_REFERENCE } from "./paths.ts";
import { stringifyResults } from "./stringify.ts";
import type { Results } from "./types.ts";
import { refreshIndexes } from "./write_index.ts";

/** What a write did. Every fresh entry is in one of the three lists. */
export interface Written {
  /** The file that has the results now: `dir` with {@linkcode resultsPath} below it. */
  readonly path: string;
  /** Sizes that were not there before. */
  readonly added: readonly MergedEntry[];
  /** Sizes whose earlier entry gave way to better evidence. */
  readonly replaced: readonly MergedEntry[];
  /** Sizes whose earlier entry stays. */
  readonly kept: readonly MergedEntry[];
}

/**
 * Merges `fresh` into the file that {@linkcode resultsPath} names below `dir`; makes folders as needed.
 *
 * The text goes to a temporary file in the same folder, to the disk, and then into place by a rename: a reader sees the
 * old file or the new one. Writers lock the folder, so that none undoes another's merge. Needs read and write permission
 * for `dir`. Where the folder is a registry, its indexes follow.
 *
 * @throws {TypeError | RangeError} Where `fresh` is not what {@linkcode parseResults} accepts; nothing is written.
 * @throws {Error} Where the folder can't be written, or the file there is not a results file of the same kernel,
 *   backend, device and problem. The message names the path; the file stays as it is.
 */
export async function writeResults(dir: string, fresh: Results, options: MergeOptions = {}): Promise<Written> {
  const checked = parseResults(fresh);
  const path = join(dir, resultsPath(checked));
  const folder = dirname(path);
  try {
    await Deno.mkdir(folder, { recursive: true });
  } catch (error) {
    throw unwritable(folder, error);
  }
  using lock = await lockFolder(folder);
  const { merged, ...changes } = mergeInto(path, await readExisting(path), checked, options);
  try {
    await lock.replace(path, stringifyResults({ ...merged, $schema: SCHEMA_REFERENCE }));
  } catch (error) {
    throw unwritable(folder, error);
  }
  await refreshIndexes(dir, resultsPath(checked));
  return { path, ...changes };
}

function mergeInto(path: string, existing: Results | undefined, fresh: Results, options: MergeOptions): Merge {
  try {
    return mergeResults(existing, fresh, options);
  } catch (error) {
    throw new Error(`Cannot write into ${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function readExisting(path: string): Promise<Results | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return parseResults(text);
  } catch (error) {
    throw new Error(`Cannot overwrite ${path}: ${(error as Error).message}; move the file away to write a new one`, {
      cause: error,
    });
  }
}

function unwritable(folder: string, cause: unknown): Error {
  const { message } = cause as Error;
  return new Error(`Cannot write results into ${folder}: ${message}, expected a folder that can be written`, { cause });
}
