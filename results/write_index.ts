/**
 * Makes a results folder a registry: the index of all its files at its root, and one in each device's folder.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { sha256 } from "../kernels/sha256.ts";
import { lockFolder } from "./files.ts";
import { parseResults } from "./parse.ts";
import { resultsPath } from "./paths.ts";
import { INDEX_NAME, INDEX_VERSION, type IndexEntry, parseIndex, type RegistryIndex } from "./registry.ts";
import { type Results, sizesOf } from "./types.ts";

/** What {@linkcode writeIndexes} did, or would do. */
export interface IndexChanges {
  /** The index of the whole folder. */
  readonly index: RegistryIndex;
  /** Index files that are not what they should be, below the folder. */
  readonly outdated: readonly string[];
}

/**
 * Reads every results file below `dir`, and writes the indexes. Needs read permission for `dir`, and write permission
 * unless `dryRun`.
 *
 * @throws {Error} Where the folder can't be read or written, or a file below it is no results file or is in the wrong
 *   place. The message names the path; no index changes.
 */
export async function writeIndexes(dir: string, { dryRun = false } = {}): Promise<IndexChanges> {
  using lock = await lockFolder(dir);
  const files: Record<string, IndexEntry> = {};
  const folders = new Map<string, Record<string, IndexEntry>>([["", files]]);
  for (const path of await resultsFiles(dir)) {
    const entry = await readEntry(dir, path);
    files[path] = entry;
    const folder = dirname(path);
    if (!folders.has(folder)) folders.set(folder, {});
    folders.get(folder)![basename(path)] = entry;
  }
  const outdated: string[] = [];
  for (const [folder, entries] of folders) {
    const path = folder === "" ? INDEX_NAME : `${folder}/${INDEX_NAME}`;
    const text = indexText(entries);
    if (text === await Deno.readTextFile(join(dir, path)).catch(() => undefined)) continue;
    outdated.push(path);
    if (!dryRun) await lock.replace(join(dir, path), text);
  }
  return { index: { schemaVersion: INDEX_VERSION, files }, outdated };
}

/**
 * Brings the indexes up to date with one results file that has changed or gone. Where `dir` has no index, none is made.
 *
 * @param path The file, below `dir`.
 * @throws {Error} Where an index that is there cannot be read or written; the message names it.
 */
export async function refreshIndexes(dir: string, path: string): Promise<void> {
  if (await readIndexFile(join(dir, INDEX_NAME)) === undefined) return;
  using lock = await lockFolder(dir);
  const exists = await Deno.stat(join(dir, path)).then(() => true, () => false);
  const entry = exists ? await readEntry(dir, path) : undefined;
  for (const [folder, name] of [["", path], [dirname(path), basename(path)]]) {
    const file = join(dir, folder, INDEX_NAME);
    const { [name]: _, ...others } = (await readIndexFile(file))?.files ?? {};
    await lock.replace(file, indexText(entry === undefined ? others : { ...others, [name]: entry }));
  }
}

/** Paths of the results files below a folder, with `/` between parts, sorted. Nothing hidden, and no links. */
export async function resultsFiles(dir: string): Promise<string[]> {
  const files: string[] = [];
  const walk = async (folder: string, depth: number) => {
    for await (const { name, isDirectory, isFile } of Deno.readDir(join(dir, folder))) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (name.startsWith(".")) continue;
      if (isDirectory && depth < 3) await walk(path, depth + 1);
      else if (isFile && depth === 3 && name.endsWith(".json") && name !== INDEX_NAME) files.push(path);
    }
  };
  try {
    await walk("", 0);
  } catch (error) {
    throw new Error(`Cannot list ${dir}: ${(error as Error).message}, expected a folder of results`, { cause: error });
  }
  return files.sort();
}

async function readEntry(dir: string, path: string): Promise<IndexEntry> {
  try {
    const bytes = await Deno.readFile(join(dir, path));
    const results = parseResults(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    const expected = resultsPath(results);
    if (expected !== path) throw new Error(`the file belongs at ${expected}`);
    return entryOf(results, await sha256(bytes), bytes.length);
  } catch (error) {
    const why = (error as Error).message.replace("Cannot read results: ", "");
    throw new Error(`Cannot index ${join(dir, path)}: ${why}`, { cause: error });
  }
}

function entryOf({ kernel, backend, device, problem, evidence }: Results, hash: string, bytes: number): IndexEntry {
  const all = sizesOf(evidence).map(({ smCount, contextLen }) => evidence[smCount][contextLen]);
  const dates = all.map(({ date }) => date).sort();
  return {
    sha256: hash,
    bytes,
    kernel,
    backend,
    device: device.name,
    problem: basename(resultsPath({ kernel, backend, device, problem }), ".json"),
    entries: all.length,
    tuned: all.filter(({ chosen }) => chosen === "tuned").length,
    ...(all.length > 0 && { bestSpeedup: Math.max(...all.map(({ speedup }) => speedup)), newest: dates.at(-1)! }),
  };
}

async function readIndexFile(path: string): Promise<RegistryIndex | undefined> {
  try {
    return parseIndex(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    const why = (error as Error).message.replace("Cannot read results: ", "");
    throw new Error(`Cannot read the index ${path}: ${why}; deno run tune index writes it anew`, { cause: error });
  }
}

/** One line a file, sorted by path: a change of one file changes one line. */
function indexText(files: Readonly<Record<string, IndexEntry>>): string {
  const lines = Object.keys(files).sort().map((path) => `    ${JSON.stringify(path)}: ${JSON.stringify(files[path])}`);
  const body = lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n  }`;
  return `{\n  "schemaVersion": ${INDEX_VERSION},\n  "files": ${body}\n}\n`;
}
