/** Tables on a terminal. The only module that knows the table library. */
import Table from "cli-table3";

/** A plain table with a header, columns aligned; `right` names the numeric columns. */
export function tableText(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
) {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((name) => right.includes(name) ? "right" : "left"),
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}
