/** Made-up landscapes for tests of searches: rugged, with failures, with parameters of every kind. */
import { type Config, configKey, type Space } from "../../kernels/space.ts";

const param = (name: string, values: (number | string | boolean)[]) => ({ name, values, what: name, recompiles: true });

/** 6,912 combinations of which constraints leave about two thirds. */
export const SYNTHETIC: Space = {
  params: [
    param("threads", [32, 64, 128, 256, 512, 1024]),
    param("rows", [1, 2, 4, 8]),
    param("columns", [1, 2, 4, 8]),
    param("unroll", [1, 2, 3, 4, 6, 8]),
    param("layout", ["row", "column", "tiled"]),
    param("cached", [true, false]),
    param("splits", [1, 2]),
  ],
  constraints: [{
    name: "work",
    reason: "threads have at most 4096 items",
    holds: ({ threads, rows, columns }) => Number(threads) * Number(rows) * Number(columns) <= 4096,
  }],
};

/** A cost with interactions, a hash's ruggedness of 10 %, and failures where registers would run out. */
export function syntheticCost(config: Config): number | undefined {
  const [threads, rows, columns, unroll] = ["threads", "rows", "columns", "unroll"].map((name) => Number(config[name]));
  if (rows * columns * unroll > 128) return undefined;
  const tile = Math.abs(Math.log2(rows * columns * threads / 1024));
  const shape = Math.abs(
    Math.log2(rows / columns) - (config.layout === "row" ? -1 : config.layout === "tiled" ? 0 : 1),
  );
  const depth = Math.abs(Math.log2(unroll) - (config.cached ? 2 : 0.5));
  const other = config.layout === "tiled" && config.cached ? 0 : 0.6;
  return (1 + 0.4 * tile + 0.3 * shape + 0.2 * depth + other + (config.splits === 2 ? 0.05 : 0)) *
    (1 + 0.1 * hash(configKey(config)));
}

/** 0 to 1 (FNV-1a). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return value / 2 ** 32;
}
