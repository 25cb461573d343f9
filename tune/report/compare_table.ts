/** The table of `tune compare`. */
import type { ComparedCell, ComparedRow, Comparison } from "../compare.ts";
import type { Results } from "../../results/mod.ts";
import { digits3, speedupText } from "./format.ts";
import { tableText } from "./table.ts";

/** Files are A, B, C, … in the table; the legend says what they are. `baselines` adds a column for that of each. */
export function compareText(
  { rows, notes }: Comparison,
  files: readonly Results[],
  sources: readonly string[],
  { baselines = false }: { baselines?: boolean } = {},
): string {
  const letter = (i: number) => String.fromCharCode(65 + i % 26) + (i < 26 ? "" : Math.floor(i / 26));
  const legend = files.map(({ device, backend, problem }, i) =>
    `${letter(i)}  ${device.name} (${backend}), ${problem.name ?? ""}: ${sources[i]}`
  );
  const head = [
    "SMs",
    "context",
    ...files.flatMap((_, i) => [
      `${letter(i)} µs`,
      ...(i === 0 ? [] : [`${letter(i)} × A`]),
      ...(baselines ? [`its baseline`] : []),
    ]),
  ];
  const lines = rows.map((row) => [
    smCounts(row),
    String(row.contextLen),
    ...row.cells.flatMap((cell, i) => [...cells(cell, i), ...(baselines ? [baseline(cell)] : [])]),
  ]);
  const table = tableText(head, lines, Object.fromEntries(head.map((name) => [name, { right: true }])));
  return [...legend, table, ...notes.map((note) => `They differ in ${note}`)].join("\n");
}

function cells(cell: ComparedCell | null, i: number): string[] {
  const us = cell ? `${digits3(cell.us)} [${cell.interval.map(digits3).join(", ")}]` : "–";
  if (i === 0) return [us];
  if (!cell?.ratioInterval) return [us, ""];
  return [us, speedupText(cell.ratio!, cell.ratioInterval) + (cell.overlaps ? " ≈" : "")];
}

function baseline(cell: ComparedCell | null): string {
  return cell ? `${digits3(cell.baselineUs)} (${cell.speedup.toFixed(2)}×)` : "";
}

function smCounts({ cells }: ComparedRow): string {
  return [...new Set(cells.flatMap((cell) => cell ? [cell.smCount] : []))].join(", ");
}
