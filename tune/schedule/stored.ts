/** Results files as a plan's targets see them. */
import { join } from "node:path";
import { parseResults, type Results } from "../../results/mod.ts";
import { FailureError, firstLine } from "../errors.ts";
import type { Place } from "../plan/targets.ts";
import type { StoredEntry } from "./drift.ts";

/** Reads the stored entries of targets; each file is read once. */
export class StoredResults {
  #files = new Map<string, Results | undefined>();

  constructor(readonly dir: string) {}

  /**
   * The stored entry of a target, or undefined where there is none.
   *
   * @throws {FailureError} Where the file cannot be read, or is no results file.
   */
  entry({ path, size: { smCount, contextLen } }: Place): StoredEntry | undefined {
    if (!this.#files.has(path)) this.#files.set(path, read(join(this.dir, path)));
    const { configs, evidence } = this.#files.get(path) ?? {};
    const config = configs?.[smCount]?.[contextLen];
    return config && { config, evidence: evidence![smCount][contextLen] };
  }
}

function read(path: string): Results | undefined {
  try {
    return parseResults(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new FailureError(`Cannot read ${path}: ${firstLine(error)}`);
  }
}
