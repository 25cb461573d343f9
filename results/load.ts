/**
 * Fetches results files. It runs wherever `fetch` does; where that is Deno, http needs net permission for the host.
 *
 * @module
 */
import { MAX_RESULTS_LENGTH, parseResults } from "./parse.ts";
import type { Results } from "./types.ts";

/** How results are fetched. */
export interface LoadOptions {
  /** Gives up where it aborts. */
  readonly signal?: AbortSignal;
  /** Bytes that are read at most; 8 MiB where absent, which is also the most that is possible. */
  readonly maxBytes?: number;
}

const PROTOCOLS = ["http:", "https:", "file:", "data:"];

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
 * @throws {Error} Where it cannot be fetched, the status is no success, the body is too large, or it is not a results
 *   file. The message has the URL; the cause is the error beneath.
 */
export async function loadResults(url: string | URL, options: LoadOptions = {}): Promise<Results> {
  const parsed = parseUrl(url);
  try {
    return parseResults(await fetchText(parsed, options));
  } catch (error) {
    const why = (error as Error).message.replace("Cannot read results: ", "");
    throw new Error(`Cannot load results from ${shorten(parsed.href)}: ${why}`, { cause: error });
  }
}

async function fetchText(url: URL, { signal, maxBytes = MAX_RESULTS_LENGTH }: LoadOptions): Promise<string> {
  const response = await fetch(url, { signal });
  if (response.body === null) throw new Error("the answer is empty, expected a results file");
  const reader = response.body.getReader();
  try {
    if (!response.ok) {
      throw new Error(`the status is ${`${response.status} ${response.statusText}`.trim()}, expected 200 OK`);
    }
    return await readText(reader, maxBytes);
  } catch (error) {
    await reader.cancel().catch(() => {}); // the connection is given up; the first error is the one that counts
    throw error;
  }
}

async function readText(reader: ReadableStreamDefaultReader<Uint8Array>, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  while (true) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > maxBytes) throw new RangeError(`the body has more than ${maxBytes} bytes, expected at most that many`);
    text += decoder.decode(value, { stream: true });
  }
}

function parseUrl(url: string | URL): URL {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  let parsed: URL | undefined;
  try {
    parsed = new URL(url, base);
  } catch {
    // Said below, with what is accepted.
  }
  if (parsed === undefined || !PROTOCOLS.includes(parsed.protocol)) {
    const expected = "an absolute URL with http:, https:, file: or data:";
    throw new TypeError(`Cannot load results from ${JSON.stringify(shorten(String(url)))}: expected ${expected}`);
  }
  return parsed;
}

function shorten(url: string): string {
  return url.length > 200 ? `${url.slice(0, 200)}…` : url;
}
