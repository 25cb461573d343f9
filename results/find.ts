/**
 * Finds the results for a problem in a registry: the file of that problem, or of the nearest one.
 *
 * @module
 */
import { type LoadOptions, parseUrl, shortUrl, StatusError } from "./fetch_text.ts";
import { loadResults } from "./load.ts";
import { type ResultsKey, resultsPath } from "./paths.ts";
import { INDEX_NAME, loadIndex } from "./registry.ts";
import type { Results } from "./types.ts";

/** Results, and whose they are. */
export interface FoundResults {
  /** The file, checked. */
  readonly results: Results;
  /** Where they are from. */
  readonly url: string;
  /** `exact`: of the problem that was asked for. `nearest`: of another number of heads or batch size. */
  readonly match: "exact" | "nearest";
  /** The name of the problem that they are of. */
  readonly problem: string;
  /** Octaves between the two problems: √(log₂²(heads ratio) + log₂²(batch ratio)); 0 where exact. */
  readonly distance: number;
}

/**
 * Fetches the results of a problem on a device, or of the nearest problem that was tuned on it.
 *
 * One request where the problem was tuned. Where it was not, the `index.json` of the device's folder says what was: of the
 * problems that differ in heads or batch alone, the nearest by ratio is taken, and its hash checked. Another kernel,
 * backend, device, cache type or width is never taken.
 *
 * @param baseUrl The registry's folder: what {@linkcode resultsPath} is relative to.
 * @throws {TypeError} Where `baseUrl` is no URL.
 * @throws {RangeError} Where `key` has no path.
 * @throws {Error} Where nothing was found, or what was found is no results file about this kernel, backend and device. The
 *   message has the URL.
 */
export async function findResults(
  baseUrl: string | URL,
  key: ResultsKey,
  options: Omit<LoadOptions, "sha256"> = {},
): Promise<FoundResults> {
  const base = parseUrl(baseUrl, "results");
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const path = resultsPath(key);
  const url = new URL(path, base);
  const wanted = nameOf(path);
  try {
    const results = await loadResults(url, options);
    return { results: requireSubject(results, path, url), url: url.href, match: "exact", problem: wanted, distance: 0 };
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  const indexUrl = new URL(INDEX_NAME, url);
  const { files } = await loadIndex(indexUrl, options).catch((error) => {
    throw isMissing(error) ? nothingFound(url, `and there is no ${shortUrl(indexUrl.href)}`, error) : error;
  });
  const near = Object.keys(files)
    .map((file) => ({ file, problem: nameOf(file), distance: problemDistance(wanted, nameOf(file)) }))
    .filter(({ distance }) => distance < Infinity)
    .sort((a, b) => a.distance - b.distance || (a.problem < b.problem ? -1 : 1));
  for (const { file, problem, distance } of near) {
    const fileUrl = new URL(file, indexUrl);
    try {
      const results = await loadResults(fileUrl, { ...options, sha256: files[file].sha256 });
      requireSubject(results, `${path.slice(0, path.lastIndexOf("/"))}/${file}`, fileUrl);
      return { results, url: fileUrl.href, match: "nearest", problem, distance };
    } catch (error) {
      if (!isMissing(error)) throw error; // an index may be older than its folder
    }
  }
  const known = Object.keys(files).map(nameOf).join(", ") || "nothing";
  throw nothingFound(url, `and of its kind ${shortUrl(indexUrl.href)} has no other: it has ${known}`);
}

/**
 * How far two problems are apart, by their names: "heads16-batch1-fp8_e4m3" and "heads32-batch4-fp8_e4m3" differ by one
 * octave of heads and two of batch. Infinite where they differ in anything else.
 */
export function problemDistance(a: string, b: string): number {
  const [x, y] = [a, b].map((name) => /^heads([1-9][0-9]{0,6})-batch([1-9][0-9]{0,6})-(.+)$/.exec(name));
  if (!x || !y || x[3] !== y[3]) return a === b ? 0 : Infinity;
  const [heads, batch] = [1, 2].map((i) => Math.log2(Number(x[i]) / Number(y[i])));
  return Math.sqrt(heads * heads + batch * batch);
}

/** The problem's name, of a path. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.json$/, "");
}

/** A file that was moved or uploaded to a wrong place would tune for another device. */
function requireSubject(results: Results, path: string, url: URL): Results {
  const actual = resultsPath(results);
  if (actual === path) return results;
  throw new Error(`Cannot use results from ${shortUrl(url.href)}: they belong at ${actual}, expected ${path}`);
}

function isMissing(error: unknown): boolean {
  const { cause } = error as Error;
  return (cause instanceof StatusError && cause.missing) || isMissingFile(cause);
}

/** For a file: URL there is no status: Deno says that the system found no such file. */
function isMissingFile(cause: unknown): boolean {
  return cause instanceof TypeError && /no such file|not found|os error 2\b/i.test(`${cause.message} ${cause.cause}`);
}

function nothingFound(url: URL, why: string, cause?: unknown): Error {
  return new Error(`Cannot find results: there is no ${shortUrl(url.href)}, ${why}`, { cause });
}
