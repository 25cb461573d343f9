/** A lookup in a table of 1,000 entries against reading one property of an object. */
import { lookup, type ResultsTable } from "./lookup.ts";

const SMS = Array.from({ length: 20 }, (_, i) => 8 + 8 * i);
const CONTEXTS = Array.from({ length: 50 }, (_, i) => 1024 * (i + 1));
const config = { BLOCK_N: 32, num_stages: 2, max_kv_splits: 64 };
const table: ResultsTable = {
  kernel: "mla_decode",
  device: { smCount: 132 },
  configs: Object.fromEntries(SMS.map((sm) => [sm, Object.fromEntries(CONTEXTS.map((context) => [context, config]))])),
};

Deno.bench({ name: "a property", group: "lookup", baseline: true, fn: () => void table.configs["64"]["4096"] });
Deno.bench({
  name: "lookup(), exact",
  group: "lookup",
  fn: () => void lookup(table, { smCount: 64, contextLen: 4096 }),
});
Deno.bench({
  name: "lookup(), nearest",
  group: "lookup",
  fn: () => void lookup(table, { smCount: 70, contextLen: 5000 }),
});
