/** Readers of option values. Each error names the value and what would be accepted. */
import { InvalidArgumentError } from "commander";
import { resolve } from "node:path";
import { UsageError } from "../errors.ts";

/** Reads `1024,4096,32k`: whole numbers of 1 or more, ascending, each once. */
export function parseContexts(text: string): number[] {
  return parseList(text, "context length", "1024,4096 or 32k", (item) => {
    const [, digits, thousands] = /^(\d{1,9})(k?)$/i.exec(item) ?? [];
    const value = Number(digits) * (thousands ? 1024 : 1);
    return value >= 1 ? value : undefined;
  });
}

/** Reads `132,64,32`: whole numbers of 1 or more, descending, each once. */
export function parseSmCounts(text: string): number[] {
  return parseList(text, "SM count", "132,64,32", (item) => /^[1-9]\d{0,3}$/.test(item) ? Number(item) : undefined)
    .reverse();
}

function parseList(text: string, what: string, example: string, parse: (item: string) => number | undefined): number[] {
  const values = text.split(",").map((item) => {
    const value = parse(item.trim());
    if (value !== undefined) return value;
    throw new InvalidArgumentError(`"${item}" is no ${what}, expected whole numbers of 1 or more, as in ${example}`);
  });
  return [...new Set(values)].sort((a, b) => a - b);
}

/** Reads a whole number in a range. */
export function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`"${text}" is out of range, expected a whole number from ${low} to ${high}`);
  };
}

/** Reads a positive number. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError(`"${text}" is no positive number, expected for example 0.5 or 3`);
}

/** Reads `90s`, `5m`, `1.5h` as seconds. */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text) ?? [];
  const seconds = Number(digits) * { s: 1, m: 60, h: 3600 }[unit ?? "s"]!;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError(`"${text}" is no duration, expected for example 90s, 5m or 1h`);
}

/** Reads `512MB`, `2GiB` as bytes. */
export function parseSize(text: string): number {
  const [, digits, prefix, binary] = /^(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?$/i.exec(text) ?? [];
  const power = "kmgt".indexOf((prefix ?? "").toLowerCase() || "-") + 1;
  const bytes = Math.floor(Number(digits) * (binary ? 1024 : 1000) ** power);
  if (bytes > 0) return bytes;
  throw new InvalidArgumentError(`"${text}" is no size, expected for example 512MB or 2GiB`);
}

/** Reads `BLOCK_N=32,64` and joins it to what earlier options of the same name gave. */
export function parseOnly(text: string, earlier: Record<string, string[]> = {}): Record<string, string[]> {
  const [, name, values] = /^(\w+)=([^=\s]+)$/.exec(text) ?? [];
  if (name) return { ...earlier, [name]: values.split(",") };
  throw new InvalidArgumentError(`"${text}" narrows nothing, expected for example BLOCK_N=32,64`);
}

/** A path as the caller means it: tasks run in the project's folder, wherever they are called from. */
export function callerPath(path: string): string {
  return resolve(Deno.env.get("INIT_CWD") ?? ".", path);
}

/** The option of commands that work on a folder of results files. */
export const RESULTS_OPTION = ["--results <dir>", "folder of the results files", "results"] as const;

/** That folder: the project's own unless the caller named one. */
export function resultsDir(path: string): string {
  return path === RESULTS_OPTION[2] ? path : callerPath(path);
}

/**
 * That folder, where it is there.
 *
 * @throws {UsageError} Where it is not.
 */
export function existingResultsDir(path: string): string {
  const dir = resultsDir(path);
  let isDirectory: boolean;
  try {
    ({ isDirectory } = Deno.statSync(dir));
  } catch {
    throw new UsageError(`Cannot use --results "${path}": no such folder`);
  }
  if (!isDirectory) throw new UsageError(`Cannot use --results "${path}": it is a file, expected a folder`);
  return dir;
}
