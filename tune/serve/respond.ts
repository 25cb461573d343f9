/**
 * What the server answers: a function of the request and the folder, without sockets.
 *
 * @module
 */
import { INDEX_NAME, parseIndex, parseResults } from "../../results/mod.ts";
import { type FolderFiles, type Stored, stored } from "./files.ts";
import { indexPage, PAGE_POLICY, resultsPage } from "./pages.ts";

/** The part of a request that decides. Header names are in lower case. */
export interface Asked {
  readonly method: string;
  /** The request target as it came. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Answers requests. */
export type Respond = (asked: Asked) => Promise<Answer>;

const COMMON = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "ETag, Content-Range",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const METHODS = "GET, HEAD, OPTIONS";
const NOTHING = new Uint8Array();
const HTML = "text/html; charset=utf-8";

/** The answers for a folder. `maxAge` is for how many seconds clients may keep a file; `metrics` is the text of `/metrics`. */
export function responder(
  files: FolderFiles,
  { maxAge, metrics }: { maxAge: number; metrics: () => Promise<string> },
): Respond {
  /** Pages by the file that they show: they go when it does. */
  const pages = new WeakMap<Stored, Promise<Stored>>();
  const pageOf = (file: Stored, make: (text: string) => string): Promise<Stored> => {
    let page = pages.get(file);
    if (page === undefined) {
      page = stored(new TextEncoder().encode(make(new TextDecoder().decode(file.body))), HTML);
      pages.set(file, page);
    }
    return page;
  };
  const noIndex = stored(new TextEncoder().encode(indexPage(undefined)), HTML);

  const find = async (path: string): Promise<Stored | undefined> => {
    if (path === "" || path === "index.html") {
      const index = await files.get(INDEX_NAME);
      return index === undefined ? await noIndex : await pageOf(index, (text) => indexPage(parseIndex(text)));
    }
    if (!path.endsWith(".html")) return await files.get(path);
    const file = await files.get(path.replace(/\.html$/, ".json"));
    return file && await pageOf(file, (text) => resultsPage(parseResults(text))).catch(() => undefined);
  };

  return async ({ method, target, headers }) => {
    if (method === "OPTIONS") return preflight();
    if (method !== "GET" && method !== "HEAD") {
      return plain(405, `Cannot ${method}: expected ${METHODS}`, { allow: METHODS, connection: "close" });
    }
    if (hasBody(headers)) return plain(413, "Cannot take a body", { connection: "close" });
    const path = pathOf(target);
    if (path === "healthz") {
      return await files.readable() ? plain(200, "ok", NO_STORE) : plain(503, "the folder is not readable", NO_STORE);
    }
    if (path === "metrics") return plain(200, await metrics(), NO_STORE);
    const file = path === undefined ? undefined : await find(path);
    if (file === undefined) return plain(404, "Not found", { "cache-control": "public, max-age=10" });
    return withFile(file, headers, maxAge);
  };
}

const NO_STORE = { "cache-control": "no-store" };

/** The path below the folder; undefined where it is none. */
function pathOf(target: string): string | undefined {
  const [path] = target.split("?", 1);
  return path.startsWith("/") ? path.slice(1) : undefined;
}

function hasBody(headers: Asked["headers"]): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function withFile(file: Stored, headers: Asked["headers"], maxAge: number): Answer {
  const range = rangeOf(headers, file);
  // A part is of the file as it is on disk: compressed parts fit nothing.
  const body = range === undefined && file.gzip !== undefined && acceptsGzip(headers) ? file.gzip : file.body;
  const tag = body === file.gzip ? `"${file.tag}-gzip"` : `"${file.tag}"`;
  const common = {
    ...COMMON,
    etag: tag,
    vary: "Accept-Encoding",
    "cache-control": `public, max-age=${maxAge}`,
    "accept-ranges": "bytes",
    ...(file.type === HTML && { "content-security-policy": PAGE_POLICY }),
  };
  if (matches(headers["if-none-match"], file)) return { status: 304, headers: common, body: NOTHING };
  const typed = { ...common, "content-type": file.type };
  if (range === "unsatisfiable") {
    const { etag: _, ...rest } = typed;
    return { status: 416, headers: { ...rest, "content-range": `bytes */${file.body.length}` }, body: NOTHING };
  }
  if (range !== undefined) {
    const [first, last] = range;
    const headers = { ...typed, "content-range": `bytes ${first}-${last}/${file.body.length}` };
    return { status: 206, headers, body: file.body.subarray(first, last + 1) };
  }
  return { status: 200, headers: { ...typed, ...(body === file.gzip && { "content-encoding": "gzip" }) }, body };
}

function one(header: string | readonly string[] | undefined): string {
  return typeof header === "string" ? header : header?.join(",") ?? "";
}

/** Weak comparison, and a tag of either encoding: the file has not changed. */
function matches(header: Asked["headers"][string], { tag }: Stored): boolean {
  const tags = one(header).split(",").map((item) => item.trim().replace(/^W\//, ""));
  return tags.some((item) => item === "*" || item === `"${tag}"` || item === `"${tag}-gzip"`);
}

function acceptsGzip(headers: Asked["headers"]): boolean {
  return one(headers["accept-encoding"]).split(",").some((item) => {
    const [, q] = /^\s*(?:gzip|\*)\s*(?:;\s*q\s*=\s*([0-9.]+))?\s*$/i.exec(item) ?? ["", "0"];
    return q === undefined || Number(q) > 0;
  });
}

/** One range of bytes; several at once, or a range of what has changed since, are answered with the whole. */
function rangeOf(headers: Asked["headers"], { body, tag }: Stored): [number, number] | "unsatisfiable" | undefined {
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(one(headers.range).trim()) ?? [];
  if (from === undefined || (from === "" && to === "")) return undefined;
  const unless = headers["if-range"];
  if (unless !== undefined && one(unless) !== `"${tag}"`) return undefined;
  const end = body.length - 1;
  const [first, last] = from === ""
    ? [Math.max(0, body.length - Number(to)), end]
    : [Number(from), to === "" ? end : Math.min(Number(to), end)];
  if (from !== "" && to !== "" && Number(from) > Number(to)) return undefined; // no range by the grammar
  return first > end || (from === "" && to === "0") ? "unsatisfiable" : [first, last];
}

function preflight(): Answer {
  const headers = {
    ...COMMON,
    allow: METHODS,
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": "If-None-Match, Range, If-Range",
    "access-control-max-age": "86400",
  };
  return { status: 204, headers, body: NOTHING };
}

function plain(status: number, text: string, headers: Record<string, string>): Answer {
  const body = new TextEncoder().encode(`${text.trimEnd()}\n`);
  return { status, headers: { ...COMMON, "content-type": "text/plain; charset=utf-8", ...headers }, body };
}
