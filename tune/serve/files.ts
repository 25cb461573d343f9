/**
 * The files of one folder as HTTP sends them: in memory, with their tags, bounded, and never from outside the folder.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join, sep } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { MAX_RESULTS_LENGTH } from "../../results/mod.ts";

const gzipped = promisify(gzip);

/** Something that can be sent. */
export interface Stored {
  readonly body: Uint8Array;
  /** The compressed body, where that is shorter. */
  readonly gzip?: Uint8Array;
  /** Of the body's hash, without quotes. */
  readonly tag: string;
  readonly type: string;
}

const TYPES: Readonly<Record<string, string>> = {
  json: "application/json; charset=utf-8",
  sig: "text/plain; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** No dot first, so neither hidden files nor "..", and nothing that a URL would have to encode. */
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$/;
const MAX_SEGMENTS = 8;

/** A body with its tag, compressed where that helps. */
export async function stored(body: Uint8Array, type: string): Promise<Stored> {
  const tag = createHash("sha256").update(body).digest("hex").slice(0, 32);
  const compressed = body.length < 512 ? undefined : new Uint8Array(await gzipped(body));
  return { body, tag, type, ...(compressed && compressed.length < body.length && { gzip: compressed }) };
}

interface Cached {
  readonly stamp: string;
  readonly stored: Stored;
  readonly bytes: number;
}

/** Reads files of a folder, and keeps those asked for last. */
export class FolderFiles {
  readonly #root: string;
  readonly #maxBytes: number;
  /** By path, the one asked for last at the end. */
  readonly #cache = new Map<string, Cached>();
  readonly #reading = new Map<string, Promise<Stored | undefined>>();
  #bytes = 0;

  /**
   * @param root The folder.
   * @param maxBytes What the cache may hold.
   */
  constructor(root: string, maxBytes = 64 * 2 ** 20) {
    this.#root = Deno.realPathSync(root);
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the folder is there. */
  async readable(): Promise<boolean> {
    return await Deno.stat(this.#root).then((stat) => stat.isDirectory, () => false);
  }

  /** The file at `path`, of parts with `/` between them; undefined where none is served. */
  async get(path: string): Promise<Stored | undefined> {
    const segments = path.split("/");
    const type = TYPES[/\.([a-z]+)$/.exec(path)?.[1] ?? ""];
    if (type === undefined || segments.length > MAX_SEGMENTS || !segments.every((part) => SEGMENT.test(part))) {
      return undefined;
    }
    // Many may ask at once for what has just changed: it is read once.
    let reading = this.#reading.get(path);
    if (reading === undefined) {
      reading = this.#read(path, type).finally(() => this.#reading.delete(path));
      this.#reading.set(path, reading);
    }
    return await reading;
  }

  async #read(path: string, type: string): Promise<Stored | undefined> {
    try {
      // Links may lead anywhere: what counts is where they end.
      const real = await Deno.realPath(join(this.#root, path));
      if (!real.startsWith(this.#root + sep)) return undefined;
      const { isFile, size, mtime, ino } = await Deno.stat(real);
      if (!isFile || size > MAX_RESULTS_LENGTH) return undefined;
      const stamp = `${size} ${mtime?.getTime()} ${ino}`;
      const cached = this.#cache.get(path);
      if (cached?.stamp === stamp) {
        this.#cache.delete(path);
        this.#cache.set(path, cached);
        return cached.stored;
      }
      const body = await Deno.readFile(real);
      if (body.length > MAX_RESULTS_LENGTH) return undefined;
      const file = await stored(body, type);
      this.#keep(path, { stamp, stored: file, bytes: file.body.length + (file.gzip?.length ?? 0) });
      return file;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
      // Outside of what the process may read, or unreadable: not served either way.
      if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied) return undefined;
      throw error;
    }
  }

  #keep(path: string, cached: Cached): void {
    this.#drop(path);
    this.#cache.set(path, cached);
    this.#bytes += cached.bytes;
    for (const oldest of this.#cache.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(path: string): void {
    this.#bytes -= this.#cache.get(path)?.bytes ?? 0;
    this.#cache.delete(path);
  }
}
