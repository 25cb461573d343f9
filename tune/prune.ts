/**
 * Prunes a folder of results files: stale or old entries go, and files that are left with none.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { kernelNamed, kernelNames } from "../kernels/registry.ts";
import { lockFolder } from "../results/files.ts";
import {
  type Evidence,
  parseResults,
  type PrunedEntry,
  pruneResults,
  refreshIndexes,
  type Results,
  resultsFiles,
  stringifyResults,
} from "../results/mod.ts";
import { sourceHash } from "./sweep.ts";

/** Which entries go: those that any of these is true of. */
export interface PruneRules {
  /** Measured with other kernel sources than this copy of kvtune has. */
  readonly stale?: boolean;
  /** Measured before this moment. */
  readonly before?: Date;
  /** Nothing was faster than the baseline. */
  readonly untuned?: boolean;
}

/** What became of one file. */
export interface PrunedFile {
  /** Below the folder. */
  readonly path: string;
  readonly pruned: readonly PrunedEntry[];
  /** Entries that are left; the file goes with the last one. */
  readonly left: number;
}

/**
 * Prunes every results file below `dir`. Nothing is written where `dryRun`.
 *
 * @throws {Error} Where a file is no results file, or cannot be written; the message names it.
 */
export async function pruneFolder(dir: string, rules: PruneRules, { dryRun = false } = {}): Promise<PrunedFile[]> {
  const files: PrunedFile[] = [];
  for (const path of await resultsFiles(dir)) {
    const file = await pruneFile(dir, path, rules, dryRun);
    if (file.pruned.length > 0) files.push(file);
  }
  return files;
}

async function pruneFile(dir: string, path: string, rules: PruneRules, dryRun: boolean): Promise<PrunedFile> {
  const full = join(dir, path);
  using lock = await lockFolder(dirname(full));
  const results = readResults(full, await Deno.readTextFile(full));
  const hash = await currentHash(results);
  const { kept, pruned } = pruneResults(results, (evidence) => reasonAgainst(evidence, rules, hash));
  const left = Object.values(kept.configs).reduce((sum, contexts) => sum + Object.keys(contexts).length, 0);
  if (pruned.length > 0 && !dryRun) {
    if (left === 0) await Deno.remove(full);
    else await lock.replace(full, stringifyResults(kept));
    await refreshIndexes(dir, path);
  }
  return { path, pruned, left };
}

function reasonAgainst(evidence: Evidence, rules: PruneRules, hash: string | undefined): string | undefined {
  if (rules.stale && hash !== undefined && evidence.sourceHash !== hash) return "stale: other kernel sources";
  if (rules.before && Date.parse(evidence.date) < rules.before.getTime()) {
    return `measured ${evidence.date.slice(0, 10)}`;
  }
  if (rules.untuned && evidence.chosen === "baseline") return "the baseline was not beaten";
  return undefined;
}

/** Undefined for a kernel or backend that this copy of kvtune has not: it cannot say what is stale. */
async function currentHash({ kernel, backend }: Results): Promise<string | undefined> {
  if (!kernelNames.includes(kernel)) return undefined;
  const { implementations } = kernelNamed(kernel);
  const implementation = Object.hasOwn(implementations, backend) ? implementations[backend] : undefined;
  return implementation && await sourceHash(implementation);
}

function readResults(path: string, text: string): Results {
  try {
    return parseResults(text);
  } catch (error) {
    throw new Error(`Cannot prune ${path}: ${(error as Error).message.replace("Cannot read results: ", "")}`);
  }
}
