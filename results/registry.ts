/**
 * The index of a registry: a folder of results files on any static host. `index.json` at its root has all files; the one
 * in each device's folder has that folder's, so that a consumer reads no more than it needs.
 *
 * @module
 */
import { type LoadOptions, loadWith } from "./fetch_text.ts";
import {
  fields,
  integer,
  map,
  MAX_SHORT_TEXT,
  oneOf,
  parseText,
  positive,
  type Read,
  record,
  text,
  wrong,
} from "./readers.ts";

/** The file's name, at the root and in each device's folder. */
export const INDEX_NAME = "index.json";

/** The version of the index that this code reads and writes. */
export const INDEX_VERSION = 1;

/** What an index says of one results file. */
export interface IndexEntry {
  /** Of the file's bytes: 64 hex digits. */
  readonly sha256: string;
  /** The file's size. */
  readonly bytes: number;
  /** For example `mla_decode`. */
  readonly kernel: string;
  /** `webgpu`, `cuda` or `triton`. */
  readonly backend: string;
  /** The device's name. */
  readonly device: string;
  /** The problem's name. */
  readonly problem: string;
  /** Sizes in the file. */
  readonly entries: number;
  /** Those where something was faster than the baseline beyond doubt. */
  readonly tuned: number;
  /** The largest baseline time over tuned time; absent where there is no size. */
  readonly bestSpeedup?: number;
  /** When the newest entry was measured: ISO 8601, UTC. Absent where there is no size. */
  readonly newest?: string;
}

/** An index. */
export interface RegistryIndex {
  /** Readers refuse a version that they do not know. */
  readonly schemaVersion: 1;
  /** By path below the index's own folder, with `/` between parts. */
  readonly files: Readonly<Record<string, IndexEntry>>;
}

/** A name that starts with no dot is neither hidden nor "..". */
const PATH = /^(?:[a-z0-9_][a-z0-9_.-]{0,127}\/){0,3}[a-z0-9_][a-z0-9_.-]{0,127}\.json$/;
const MAX_FILES = 100_000;

const shortText = text(MAX_SHORT_TEXT);
const count = integer(0, Number.MAX_SAFE_INTEGER);

const readIndex: Read<RegistryIndex> = fields<RegistryIndex>({
  schemaVersion: oneOf(INDEX_VERSION),
  files: map(PATH, "paths of .json files", MAX_FILES, () =>
    fields<IndexEntry>({
      sha256: text(64, /^[0-9a-f]{64}$/, "64 hex digits"),
      bytes: count,
      kernel: shortText,
      backend: shortText,
      device: shortText,
      problem: shortText,
      entries: count,
      tuned: count,
      bestSpeedup: positive,
      newest: shortText,
    }, ["bestSpeedup", "newest"])),
});

/**
 * Reads an index.
 *
 * @param json The text of the file, or what `JSON.parse` gave for it.
 * @throws {SyntaxError | TypeError | RangeError} Where it is none; the message has the path and the value.
 */
export function parseIndex(json: unknown): RegistryIndex {
  const root = record(parseText(json), "");
  // First, since another version may differ in everything else.
  if (Object.hasOwn(root, "schemaVersion") && root.schemaVersion !== INDEX_VERSION) {
    throw wrong(RangeError, root.schemaVersion, "schemaVersion", String(INDEX_VERSION));
  }
  return readIndex(root, "");
}

/**
 * Fetches an index and reads it.
 *
 * @throws {TypeError} Where `url` is none.
 * @throws {Error} Where it cannot be fetched, or is no index. The message has the URL; the cause is the error beneath.
 */
export async function loadIndex(url: string | URL, options: LoadOptions = {}): Promise<RegistryIndex> {
  return await loadWith(url, "an index", parseIndex, options);
}
