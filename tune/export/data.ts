/**
 * Results as environment variables, JSON and CSV, for programs of any kind.
 *
 * @module
 */
import type { Results } from "../../results/mod.ts";
import { type ExportRow, originText } from "./rows.ts";

/** `KVTUNE_BLOCK_N=64`, a line each: for `source`, `--env-file` and the like. One block for each context length. */
export function envText({ kernel, device, backend }: Results, rows: readonly ExportRow[]): string {
  const blocks = rows.map((row) => {
    const suffix = rows.length === 1 ? "" : `_${row.contextLen}`;
    const lines = Object.entries(row.config).map(([name, value]) =>
      `KVTUNE_${name.toUpperCase()}${suffix}=${shellWord(String(value))}`
    );
    return [`# ${row.contextLen} tokens: ${originText(row)}`, ...lines].join("\n");
  });
  return [`# ${kernel} on ${oneLine(device.name)} (${backend}), ${rows[0].smCount} SMs`, ...blocks].join("\n") + "\n";
}

/** A text as a word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** One array, an object for each context length. */
export function jsonText(rows: readonly ExportRow[]): string {
  const items = rows.map(({ evidence, ...row }) => ({
    ...row,
    ...(evidence && { us: evidence.us, baselineUs: evidence.baselineUs, speedup: evidence.speedup }),
  }));
  return `${JSON.stringify(items, null, 2)}\n`;
}

/** The times are of the size that was measured, which need not be the one asked for. */
const MEASURED = ["fromSmCount", "fromContextLen", "us", "baselineUs", "speedup"];

/** RFC 4180: a header, and a line for each context length; parameters have columns of their own names. */
export function csvText(rows: readonly ExportRow[]): string {
  const params = [...new Set(rows.flatMap(({ config }) => Object.keys(config)))];
  const head = ["smCount", "contextLen", "match", "confidence", ...params, ...MEASURED];
  const lines = rows.map(({ smCount, contextLen, match, confidence, config, from, evidence }) => [
    smCount,
    contextLen,
    match,
    confidence,
    ...params.map((name) => config[name] ?? ""),
    from?.smCount ?? "",
    from?.contextLen ?? "",
    evidence?.us ?? "",
    evidence?.baselineUs ?? "",
    evidence?.speedup ?? "",
  ]);
  return [head, ...lines].map((cells) => cells.map((cell) => csvCell(String(cell))).join(",")).join("\r\n") + "\r\n";
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A device's name is any text: a line end in it would end the comment. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
