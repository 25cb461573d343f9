/**
 * Results files side by side, by SM count and context length. Backends and devices may differ.
 *
 * @module
 */
import { type Config, type Evidence, type Results, sizesOf } from "../results/mod.ts";
import type { Interval } from "./measure/statistics.ts";

/** One file's entry at one size. */
export interface ComparedCell {
  readonly smCount: number;
  readonly config: Config;
  readonly us: number;
  readonly interval: Interval;
  /** µs of the baseline, measured in the same rounds. */
  readonly baselineUs: number;
  /** The baseline's time over the config's. */
  readonly speedup: number;
  readonly chosen: Evidence["chosen"];
  /** The first file's time over this one's: above 1 where this one is faster. Absent in the first, or where it has none. */
  readonly ratio?: number;
  /** What the two intervals leave open for `ratio`: wider than an interval from paired rounds would be. */
  readonly ratioInterval?: Interval;
  /** Whether the two intervals overlap: then neither is faster beyond doubt. */
  readonly overlaps?: boolean;
}

/** One size, with a cell for each file; null where a file lacks it. */
export interface ComparedRow {
  /** Of a partition; null for the whole device, whatever its size. */
  readonly partition: number | null;
  readonly contextLen: number;
  readonly cells: readonly (ComparedCell | null)[];
}

/** What a comparison found. */
export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** What the files differ in besides their times, one line each. */
  readonly notes: readonly string[];
}

/**
 * Compares files with the first one. Entries of whole devices meet whatever the SM counts; partitions meet at equal ones.
 *
 * @param files Two or more, of one kernel.
 * @param common Whether to leave out sizes that some file lacks.
 * @throws {RangeError} Where they are of several kernels.
 */
export function compare(files: readonly Results[], { common = false }: { common?: boolean } = {}): Comparison {
  const kernels = new Set(files.map(({ kernel }) => kernel));
  if (kernels.size > 1) {
    throw new RangeError(`Cannot compare results of ${[...kernels].join(" and ")}: expected one kernel`);
  }
  const tables = files.map(entriesOf);
  const keys = new Map(
    tables.flatMap((table) =>
      [...table].map(([key, { partition, contextLen }]) => [key, { partition, contextLen }] as const)
    ),
  );
  const rows = [...keys]
    .sort(([, a], [, b]) => (b.partition ?? Infinity) - (a.partition ?? Infinity) || a.contextLen - b.contextLen)
    .map(([key, size]): ComparedRow => {
      const [first, ...others] = tables.map((table) => table.get(key)?.cell ?? null);
      return { ...size, cells: [first, ...others.map((cell) => cell && first ? against(first, cell) : cell)] };
    });
  return { rows: common ? rows.filter(({ cells }) => !cells.includes(null)) : rows, notes: differences(files) };
}

interface Entry {
  readonly partition: number | null;
  readonly contextLen: number;
  readonly cell: ComparedCell;
}

function entriesOf({ configs, evidence }: Results): Map<string, Entry> {
  return new Map(
    sizesOf(configs).map(({ smCount, contextLen }) => {
      const { us, interval, baselineUs, speedup, chosen, partition: part } = evidence[smCount][contextLen];
      const partition = part ? smCount : null;
      const cell = { smCount, config: configs[smCount][contextLen], us, interval, baselineUs, speedup, chosen };
      return [`${partition} ${contextLen}`, { partition, contextLen, cell }];
    }),
  );
}

function against(first: ComparedCell, cell: ComparedCell): ComparedCell {
  return {
    ...cell,
    ratio: first.us / cell.us,
    ratioInterval: [first.interval[0] / cell.interval[1], first.interval[1] / cell.interval[0]],
    overlaps: first.interval[0] <= cell.interval[1] && cell.interval[0] <= first.interval[1],
  };
}

/** Evidence that has to be alike for times to compare. */
const ALIKE = ["clock", "coldCache", "sourceHash", "driver"] as const;

function differences(files: readonly Results[]): string[] {
  const fields = [...new Set(files.flatMap(({ problem }) => Object.keys(problem)))].filter((name) => name !== "name");
  const values = [
    ...fields.map((name) => ({ name: `problem.${name}`, of: files.map(({ problem }) => [problem[name]]) })),
    ...ALIKE.map((name) => ({ name, of: files.map((file) => evidenceOf(file).map((evidence) => evidence[name])) })),
  ];
  return values.flatMap(({ name, of }) => {
    const texts = of.map((some) => [...new Set(some)].map((value) => value ?? "none").join(" and ") || "none");
    // Other backends have other sources and drivers by their nature.
    const expected = new Set(files.map(({ backend }) => backend)).size > 1 && ["sourceHash", "driver"].includes(name);
    return new Set(texts).size === 1 || expected ? [] : [`${name}: ${texts.join(", ")}`];
  });
}

function evidenceOf({ evidence }: Results): Evidence[] {
  return Object.values(evidence).flatMap((contexts) => Object.values(contexts));
}
