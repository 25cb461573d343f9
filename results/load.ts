/**
 * Fetches results files. It runs wherever `fetch` does; where that is Deno, http needs net permission for the host.
 *
 * @module
 */
import { type LoadOptions, loadWith } from "./fetch_text.ts";
import { parseResults } from "./parse.ts";
import type { Results } from "./types.ts";

export type { LoadOptions };

/**
 * Fetches a results file and reads it.
 *
 * @example An error names the URL and what is wrong
 * ```ts
 * import { loadResults } from "./load.ts";
 *
 * const error = await loadResults("data:application/json,{}").catch((error: Error) => error);
 * if (!(error instanceof Error) || !error.message.includes("schemaVersion is missing")) throw error;
 * ```
 *
 * @param url http, https, file or data; a browser takes one relative to its page.
 * @throws {TypeError} Where `url` is none of these.
 * @throws {Error} Where it cannot be fetched, the status is no success, the body is too large or has another hash than
 *   the expected one, or it is not a results file. The message has the URL; the cause is the error beneath.
 */
export async function loadResults(url: string | URL, options: LoadOptions = {}): Promise<Results> {
  return await loadWith(url, "results", parseResults, options);
}
