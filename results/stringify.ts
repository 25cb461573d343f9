/**
 * The text of a results file: the same results always give the same text, and one entry is one line of a diff.
 *
 * @module
 */
import type { BySize, Config, Evidence, Results } from "./types.ts";

/** Parameters that readers look for first; the others follow by name. */
const FIRST = ["BLOCK_M", "BLOCK_N", "num_stages", "num_warps", "max_kv_splits"];

/**
 * The text of a results file, with a final line end. Sizes ascend, and parameters have a fixed order.
 *
 * @returns JSON that {@linkcode parseResults} reads back.
 */
export function stringifyResults(results: Results): string {
  const fields = Object.entries({
    ...(results.$schema === undefined ? {} : { $schema: JSON.stringify(results.$schema) }),
    schemaVersion: JSON.stringify(results.schemaVersion),
    kernel: JSON.stringify(results.kernel),
    backend: JSON.stringify(results.backend),
    device: line(results.device),
    problem: line(results.problem),
    configs: table(results.configs, sortedConfig),
    evidence: table(results.evidence, sortedEvidence),
  });
  return `{\n${fields.map(([name, text]) => `  ${JSON.stringify(name)}: ${text}`).join(",\n")}\n}\n`;
}

function table<T>(bySize: BySize<T>, sorted: (value: T) => object): string {
  const smCounts = numericKeys(bySize).map((smCount) => {
    const lines = numericKeys(bySize[smCount]).map((contextLen) =>
      `      "${contextLen}": ${line(sorted(bySize[smCount][contextLen]))}`
    );
    return `    "${smCount}": ${block(lines, "    ")}`;
  });
  return block(smCounts, "  ");
}

function block(lines: readonly string[], indent: string): string {
  return lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n${indent}}`;
}

/** JSON in one line with a space inside braces and after colons and commas. */
function line(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(line).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}: ${line(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function sortedConfig(config: Config): Config {
  const rank = (name: string) => FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length;
  const compare = (a: string, b: string) => rank(a) - rank(b) || (a < b ? -1 : 1);
  return Object.fromEntries(Object.keys(config).sort(compare).map((name) => [name, config[name]]));
}

function sortedEvidence(evidence: Evidence): Evidence {
  return {
    ...evidence,
    baselineConfig: sortedConfig(evidence.baselineConfig),
    errors: byName(evidence.errors),
    ...(evidence.readings && { readings: byName(evidence.readings) }),
  };
}

function byName<T>(values: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1));
}

function numericKeys(object: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(object).sort((a, b) => Number(a) - Number(b));
}
