/**
 * Recordings as one table: `params` (values by name), `columns` (the parameters and then the time), `rows` (null as the
 * time of a config that failed). kvtune writes this format, compressed, and adds `cheap`: the parameters whose change
 * needs no compile.
 *
 * @module
 */
import { z } from "zod";
import type { Recorded } from "../recording.ts";

const value = z.union([z.string(), z.number(), z.boolean()]);

export const tableSchema = z.object({
  name: z.string(),
  device: z.string().optional(),
  params: z.record(z.string(), z.array(value)),
  cheap: z.array(z.string()).default([]),
  columns: z.array(z.string()).min(2),
  rows: z.array(z.array(value.nullable())),
});

/** Reads a table. @throws {RangeError} Where a row has no value for a column. */
export function readTable({ name, device, params, cheap, columns, rows }: z.infer<typeof tableSchema>): Recorded {
  const names = columns.slice(0, -1);
  const unknown = names.find((column) => !Object.hasOwn(params, column));
  if (unknown !== undefined) {
    throw new RangeError(`column "${unknown}" is no parameter, expected ${Object.keys(params).join(", ")}`);
  }
  return {
    name,
    ...(device !== undefined && { device }),
    params: names.map((name) => ({ name, values: params[name], recompiles: !cheap.includes(name) })),
    entries: rows.map((row, i) => {
      const cost = row.at(-1) ?? undefined;
      if (row.length !== columns.length || (cost !== undefined && typeof cost !== "number")) {
        throw new RangeError(
          `row ${i} is ${JSON.stringify(row)}, expected ${columns.length} values, a time at the end`,
        );
      }
      return { config: Object.fromEntries(names.map((name, k) => [name, row[k]!])), cost };
    }),
  };
}

/** A table's text: a line a row. */
export function tableText({ name, device, params, entries }: Recorded): string {
  const field = (key: string, data: unknown) => `${JSON.stringify(key)}:${JSON.stringify(data)}`;
  const rows = entries.map(({ config, cost }) =>
    JSON.stringify([...params.map(({ name }) => config[name]), cost ?? null])
  );
  const fields = [
    field("name", name),
    ...(device === undefined ? [] : [field("device", device)]),
    field("params", Object.fromEntries(params.map(({ name, values }) => [name, values]))),
    field("cheap", params.filter(({ recompiles }) => !recompiles).map(({ name }) => name)),
    field("columns", [...params.map(({ name }) => name), "cost"]),
    `"rows":[\n${rows.join(",\n")}\n]`,
  ];
  return `{${fields.join(",\n")}}\n`;
}
