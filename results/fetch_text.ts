/**
 * Fetches a text: bounded, checked against a hash where one is known, and named in every error.
 *
 * @module
 */
import { sha256 } from "../kernels/sha256.ts";
import { MAX_RESULTS_LENGTH } from "./readers.ts";

/** How something is fetched. */
export interface LoadOptions {
  /** Gives up where it aborts. */
  readonly signal?: AbortSignal;
  /** Bytes that are read at most; 8 MiB where absent, which is also the most that is possible. */
  readonly maxBytes?: number;
  /** What the body's SHA-256 must be: 64 hex digits, as in a registry's `index.json`. */
  readonly sha256?: string;
}

/** A status that is no success. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly status: number; // no parameter property: a Node that strips types takes none

  constructor(status: number, statusText: string) {
    super(`the status is ${`${status} ${statusText}`.trim()}, expected 200 OK`);
    this.status = status;
  }

  /** Whether it says that there is no such file. A bucket that may not be listed says 403. */
  get missing(): boolean {
    return [403, 404, 410].includes(this.status);
  }
}

const PROTOCOLS = ["http:", "https:", "file:", "data:"];

/** Fetches the text at `url`. The caller names the URL in what this throws. */
export async function fetchText(url: URL, { signal, maxBytes, sha256: expected }: LoadOptions): Promise<string> {
  if (expected !== undefined && !/^[0-9a-f]{64}$/.test(expected)) {
    throw new RangeError(`the option sha256 is ${JSON.stringify(expected)}, expected 64 hex digits`);
  }
  const response = await fetch(url, { signal });
  if (response.body === null) throw new Error("the answer is empty, expected a results file");
  const reader = response.body.getReader();
  try {
    if (!response.ok) throw new StatusError(response.status, response.statusText);
    const bytes = await readBytes(reader, Math.min(maxBytes ?? Infinity, MAX_RESULTS_LENGTH));
    if (expected !== undefined) await requireHash(bytes, expected);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    await reader.cancel().catch(() => {}); // the connection is given up; the first error is the one that counts
    throw error;
  }
}

async function readBytes(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (true) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) throw new RangeError(`the body has more than ${maxBytes} bytes, expected at most that many`);
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

async function requireHash(bytes: Uint8Array<ArrayBuffer>, expected: string): Promise<void> {
  if (globalThis.crypto?.subtle === undefined) {
    throw new Error("its hash cannot be checked on this page: expected a secure one (https or localhost)");
  }
  const actual = await sha256(bytes);
  if (actual !== expected) throw new Error(`its SHA-256 is ${actual}, expected ${expected}`);
}

/**
 * Reads a URL that something is fetched from; `what` names it in errors.
 *
 * @throws {TypeError} Where it is none.
 */
export function parseUrl(url: string | URL, what: string): URL {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  let parsed: URL | undefined;
  try {
    parsed = new URL(url, base);
  } catch {
    // Said below, with what is accepted.
  }
  if (parsed === undefined || !PROTOCOLS.includes(parsed.protocol)) {
    const expected = "an absolute URL with http:, https:, file: or data:";
    throw new TypeError(`Cannot load ${what} from ${JSON.stringify(shortUrl(String(url)))}: expected ${expected}`);
  }
  return parsed;
}

/** A URL for messages. */
export function shortUrl(url: string): string {
  return url.length > 200 ? `${url.slice(0, 200)}…` : url;
}

/**
 * Fetches a text and reads it.
 *
 * @param what What it is, for messages.
 * @throws {TypeError} Where `url` is none.
 * @throws {Error} Where it cannot be fetched or read; the message has the URL, the cause is the error beneath.
 */
export async function loadWith<T>(
  url: string | URL,
  what: string,
  read: (text: string) => T,
  options: LoadOptions,
): Promise<T> {
  const parsed = parseUrl(url, what);
  try {
    return read(await fetchText(parsed, options));
  } catch (error) {
    const why = (error as Error).message.replace("Cannot read results: ", "");
    throw new Error(`Cannot load ${what} from ${shortUrl(parsed.href)}: ${why}`, { cause: error });
  }
}
