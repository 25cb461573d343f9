/**
 * What a serving system takes from outside: the same shape for each system.
 *
 * @module
 */
import { configText } from "../report/format.ts";
import { tableText } from "../report/table.ts";
import type { Config } from "../../kernels/space.ts";
import type { Results } from "../../results/mod.ts";
import { shellWord } from "./data.ts";
import { type ExportRow, originText } from "./rows.ts";

/** What a row becomes on a server's command line. */
export interface ServerSettings {
  /** Words of the command line. */
  readonly flags: readonly string[];
  /** What these make the server do, in one line. */
  readonly effect: string;
}

/** One of a server's switches, and where that is written down. */
export interface Switch {
  readonly name: string;
  readonly does: string;
  readonly source: string;
}

/** A serving system. */
export interface Server {
  readonly title: string;
  settings(results: Results, row: ExportRow): ServerSettings;
  /** The switches that {@linkcode settings} uses or that bear on it. */
  readonly switches: readonly Switch[];
  /** Parameters that its kernel has as constants, and the file with them. */
  readonly constants: { readonly names: readonly string[]; readonly file: string };
  /** What else cannot be set from outside, and what else to know; a line each. */
  notes(results: Results): readonly string[];
}

/** Flags for each context length, what they do, where that is from, and what cannot be set. */
export function serverText(server: Server, results: Results, rows: readonly ExportRow[]): string {
  const settings = rows.map((row) => server.settings(results, row));
  const table = tableText(
    ["context", "cap", "from", "effect"],
    rows.map((row, i) => [String(row.contextLen), String(capOf(row.config)), originText(row), settings[i].effect]),
    { context: { right: true }, cap: { right: true }, effect: { width: 70 } },
  );
  const commands = rows.map((row, i) =>
    `  ${row.contextLen}: ${settings[i].flags.map(shellWord).join(" ") || "(none)"}`
  );
  return [
    `${server.title}: ${results.kernel} tuned on ${results.device.name} (${results.backend}), ${rows[0].smCount} SMs`,
    table,
    "Flags, by the longest context that the server admits:",
    ...commands,
    "What they do:",
    ...server.switches.map(({ name, does, source }) => `  ${name}: ${does}\n    ${source}`),
    "What cannot be set from outside, and what else to know:",
    ...[...notSettable(server, rows.at(-1)!), ...server.notes(results)].map((note) => `  ${note}`),
  ].join("\n") + "\n";
}

/** The flags alone, for `$(…)` on a command line: of the row with the longest context. */
export function flagsText(server: Server, results: Results, rows: readonly ExportRow[]): string {
  return `${server.settings(results, rows.at(-1)!).flags.map(shellWord).join(" ")}\n`;
}

/** The tuned cap on splits. */
export function capOf(config: Config): number {
  return config.max_kv_splits as number;
}

/** What the server's kernel has too, as constants, and what only kvtune's has. */
function notSettable({ constants }: Server, { config, contextLen }: ExportRow): string[] {
  const [theirs, ours] = [true, false].map((shared) =>
    Object.fromEntries(
      Object.entries(config).filter(([name]) => name !== "max_kv_splits" && constants.names.includes(name) === shared),
    )
  );
  const lines = [`${configText(theirs)} (at ${contextLen}): constants in ${constants.file}; a patch of it sets them.`];
  if (Object.keys(ours).length > 0) lines.push(`${configText(ours)}: parameters that only kvtune's own kernel has.`);
  return lines;
}
