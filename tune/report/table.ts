/** Tables on a terminal. The only module that knows the table library. */
import Table from "cli-table3";

/** How a column is set. */
export interface ColumnStyle {
  /** Numbers are. */
  readonly right?: boolean;
  /** Characters a line; longer cells are wrapped between words. */
  readonly width?: number;
}

/** A plain table with a header; `styles` by the header's names. */
export function tableText(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  styles: Readonly<Record<string, ColumnStyle>> = {},
): string {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((name) => styles[name]?.right ? "right" : "left"),
    colWidths: head.map((name) => styles[name]?.width ?? null),
    wordWrap: true,
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}
