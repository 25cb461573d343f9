/** Lookups in tables of 1,000 entries against reading one property of an object. */
import { lookup, type ResultsTable } from "./lookup.ts";

const config = { BLOCK_N: 32, num_stages: 2, max_kv_splits: 64 };

/** The config differs every third time, so that some neighbours interpolate and some do not. */
function table(smCounts: number[], contextLens: number[]): ResultsTable {
  const row = Object.fromEntries(
    contextLens.map((length, i) => [length, { ...config, BLOCK_N: i % 3 ? 32 : 64, max_kv_splits: 8 + i }]),
  );
  return {
    kernel: "mla_decode",
    device: { smCount: 132 },
    configs: Object.fromEntries(smCounts.map((smCount) => [smCount, row])),
  };
}

const counts = (length: number, step: number) => Array.from({ length }, (_, i) => step * (i + 1));

/** 1,000 sizes to ask for, spread evenly in their logarithms; the same at every run. */
const QUERIES = counts(1000, 1).map((i) => ({
  smCount: Math.round(2 ** (10 * (i * 0.618034 % 1))),
  contextLen: Math.round(2 ** (6 + 12 * (i * 0.414214 % 1))),
}));
let next = 0;
const query = () => QUERIES[next = (next + 1) % 1000];

const grid = table(counts(20, 8), counts(50, 1024));
const shapes: Record<string, ResultsTable> = {
  "20 SM counts x 50 lengths": grid,
  "1,000 SM counts x 1 length": table(counts(1000, 1), [1024]),
  "1 SM count x 1,000 lengths": table([132], counts(1000, 128)),
};

Deno.bench({
  name: "a property",
  group: "lookup",
  baseline: true,
  fn: () => void grid.configs["64"]["4096"],
});
Deno.bench({ name: "exact", group: "lookup", fn: () => void lookup(grid, { smCount: 64, contextLen: 4096 }) });
for (const [shape, sizes] of Object.entries(shapes)) {
  Deno.bench({ name: `any size, ${shape}`, group: "lookup", fn: () => void lookup(sizes, query()) });
}
