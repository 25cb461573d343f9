/**
 * Snapshots of texts, in `tune/testing/snapshots/`. `deno task test FILE -- --update` writes them anew: read what changed
 * before you commit it.
 *
 * @module
 */
import { strictEqual } from "node:assert";

const FOLDER = new URL("./snapshots/", import.meta.url);
const UPDATE = Deno.args.includes("--update");

/** Asserts that `text` is what the snapshot of this name says. */
export function matchesSnapshot(name: string, text: string): void {
  const file = new URL(`${name}.txt`, FOLDER);
  if (UPDATE) {
    Deno.mkdirSync(FOLDER, { recursive: true });
    Deno.writeTextFileSync(file, text);
    return;
  }
  let expected: string;
  try {
    expected = Deno.readTextFileSync(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`No snapshot ${name}: deno task test FILE -- --update writes it`);
  }
  strictEqual(
    text,
    expected,
    `${name} is not what its snapshot says; where that is meant: deno task test FILE -- --update`,
  );
}

/** A JSON document with its values replaced by their types: what programs rely on where values differ from run to run. */
export function shapeOf(json: unknown): unknown {
  if (Array.isArray(json)) return json.slice(0, 1).map(shapeOf);
  if (typeof json !== "object" || json === null) return json === null ? "null" : typeof json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, shapeOf(value)]));
}
