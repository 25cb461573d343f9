/**
 * Compiled units on disk, so that a sweep that is started again compiles nothing twice.
 *
 * An entry's name is the SHA-256 of everything that shapes its content: this format, the compiler's version, the
 * options, the source and the headers. An entry is written aside and renamed, so that a reader never sees half of one,
 * and carries its own SHA-256, so that a damaged one is compiled anew.
 *
 * A cache that cannot be read or written costs time and nothing else: no error of it leaves this file.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { sha256 } from "../../sha256.ts";
import type { Compiled, CompileUnit } from "./nvrtc.ts";

const FORMAT = 1;
const NEWLINE = 10;

/** What an entry starts with, as one line of JSON. The machine code follows. */
interface Heading {
  readonly format: number;
  readonly sha256: string;
  readonly log: string;
}

/** The folder of the cache: `$KVTUNE_CACHE`, `$XDG_CACHE_HOME/kvtune` or `~/.cache/kvtune`, or undefined. */
export function cacheFolder(
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): string | undefined {
  try {
    const given = env("KVTUNE_CACHE");
    if (given) return `${given}/cuda`;
    const shared = env("XDG_CACHE_HOME");
    if (shared) return `${shared}/kvtune/cuda`;
    const home = env("HOME");
    return home ? `${home}/.cache/kvtune/cuda` : undefined;
  } catch { // The environment is not ours to read.
    return undefined;
  }
}

/** The name of a unit's entry: 64 hex digits. At once, so that whoever asks for an equal unit next finds this one underway. */
export function cacheKey(compiler: string, unit: CompileUnit): string {
  const headers = Object.entries(unit.headers).sort(([a], [b]) => a < b ? -1 : 1);
  const parts = JSON.stringify([FORMAT, compiler, unit.options, unit.source, headers]);
  return createHash("sha256").update(parts).digest("hex");
}

/** A folder of compiled units. */
export class CompileCache {
  /** @param folder Where entries lie, or undefined for no cache. */
  constructor(readonly folder: string | undefined) {}

  #path(key: string): string {
    // Two levels: some file systems are slow with thousands of names in one folder.
    return `${this.folder}/${key.slice(0, 2)}/${key.slice(2)}.cubin`;
  }

  /** The entry of a key, or undefined where there is none or it is damaged. */
  async get(key: string): Promise<Compiled | undefined> {
    if (this.folder === undefined) return undefined;
    try {
      const bytes = await Deno.readFile(this.#path(key));
      const end = bytes.indexOf(NEWLINE);
      const heading: Heading = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
      const cubin = bytes.slice(end + 1);
      const whole = heading.format === FORMAT && heading.sha256 === await sha256(cubin);
      return whole && typeof heading.log === "string" ? { cubin, log: heading.log } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes an entry, or gives up in silence. */
  async put(key: string, compiled: Compiled): Promise<void> {
    if (this.folder === undefined) return;
    const path = this.#path(key);
    const aside = `${path}.${crypto.randomUUID()}`;
    try {
      const heading: Heading = { format: FORMAT, sha256: await sha256(compiled.cubin), log: compiled.log };
      const line = new TextEncoder().encode(JSON.stringify(heading) + "\n");
      const bytes = new Uint8Array(line.length + compiled.cubin.length);
      bytes.set(line);
      bytes.set(compiled.cubin, line.length);
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeFile(aside, bytes);
      await Deno.rename(aside, path);
    } catch {
      await Deno.remove(aside).catch(() => {});
    }
  }
}
