/**
 * What may be chosen for MLA decode in Triton, and which combinations are admitted.
 *
 * @module
 */
import type { DeviceInfo } from "../../devices/device.ts";
import type { SpaceOptions } from "../../kernel.ts";
import type { Config, Constraint, Param, Space } from "../../space.ts";
import { numKvSplits, splitCandidates } from "../kv_splits.ts";
import { maxContextLen, type MlaDecodeProblem } from "../problem.ts";
import { accumulatorRegisters, cutOf, groupsOf, headBlocks, sharedBytes, workspaceBytes } from "./geometry.ts";

/** Compute capabilities, times ten, whose matrix units multiply 64 rows at a time without spilling a block of 64 heads. */
const WIDE_MATRIX_UNITS = [90, 100, 103];
/** Registers that a thread of stage 1 needs beside its part of the output. */
const OTHER_REGISTERS = 56;
/** Splits of a request at most: beyond it stage 2 reads more than stage 1. */
const MOST_SPLITS = 1024;
/** Elements of partial outputs that a thread of stage 2 holds: fewer are idle threads, more spill. */
const MERGE_ELEMENTS = [8, 128];

const number = (config: Config, name: string) => config[name] as number;

/** Every admitted config of `problem` on `device`. */
export function space(problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions = {}): Space {
  return { params: params(problem, device), constraints: constraints(problem, device, options) };
}

/**
 * What a server launches untuned: the kernel of served.py with BLOCK_N 32, 16 heads a block, num_stages 2, 4 warps, the
 * served splits, partial outputs in f32, and a second stage that goes through the splits one after the other.
 */
export function baseline(problem: MlaDecodeProblem, { smCount }: DeviceInfo): Config {
  const { contextLens, heads } = problem;
  return {
    path: "served",
    BLOCK_N: 32,
    BLOCK_H: 16,
    num_stages: 2,
    num_warps: 4,
    max_kv_splits: Math.max(1, ...numKvSplits({ contextLens, heads, smCount })),
    partials: "f32",
    pdl: false,
  };
}

function params(problem: MlaDecodeProblem, device: DeviceInfo): Param[] {
  const param = (name: string, values: Param["values"], what: string, recompiles = true): Param => (
    { name, values, what, recompiles }
  );
  return [
    param("BLOCK_N", [16, 32, 64, 128], "tokens a tile"),
    param("BLOCK_H", [16, 32, 64], "query heads a block"),
    param("num_stages", [1, 2, 3, 4], "tiles in flight, the one that is computed on included"),
    param("num_warps", [2, 4, 8], "warps a block of stage 1"),
    param("pieces", [2, 4, 8], "parts of the latent width that are loaded, converted and multiplied apart"),
    param("groups", [1, 4], "parts of the latent width that each are one warp's; 1 where warps share all of it"),
    param(
      "max_registers",
      [0, 128, 168],
      "registers a thread at most, so that more blocks share an SM; 0 for no bound",
    ),
    // Normalised outputs of an FP8 cache fit f16; a 16-bit cache may hold values that do not.
    param("partials", problem.kvType === "fp8_e4m3" ? ["f16"] : ["f16", "f32"], "how partial outputs are stored"),
    // A class of accuracy admits what it allows, not only that: 16-bit probabilities are often faster too.
    ...(problem.accuracy === "fp8_p"
      ? [
        param(
          "probabilities",
          ["16bit", "e4m3"],
          "what values are multiplied with; e4m3 takes the cache's codes as they are",
        ),
      ]
      : []),
    param("pdl", device.features.includes("pdl") ? [true, false] : [false], "stage 2 starts beside stage 1's end"),
    param("merge_splits", [4, 8, 32, 64, 128, 256], "splits that a block of stage 2 merges at a time"),
    param("merge_widths", [32, 64, 128, 512], "latent widths that a block of stage 2 merges"),
    param("merge_warps", [1, 2, 4], "warps a block of stage 2"),
    param("max_kv_splits", splits(problem, device.smCount), "splits of the longest request", false),
  ];
}

/** Fractions and multiples of the SM count, over a request's blocks of any height; powers of two. */
function splits(problem: MlaDecodeProblem, smCount: number): number[] {
  const most = Math.max(1, Math.min(MOST_SPLITS, Math.ceil(maxContextLen(problem) / 16)));
  const blocks = new Set([16, 32, 64].map((heads) => Math.ceil(problem.heads / heads)));
  const items = [...blocks].map((count) => count * problem.batch);
  return splitCandidates({ smCount, items, most, largestPower: 256 });
}

function constraints(problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions): Constraint[] {
  const { limits, features, software } = device;
  const { heads, latent, rope, ioType, kvType } = problem;
  const capability = limits.computeCapability ?? 0;
  const maxWorkspace = options.maxWorkspaceBytes ?? limits.memoryBytes;
  const isPowerOf2 = (x: number) => Number.isInteger(Math.log2(x));
  const rule = (name: string, reason: string, holds: (config: Config) => boolean): Constraint => (
    { name, reason, holds }
  );
  return [
    rule(
      "widths",
      `tiles are powers of two wide: latent is ${latent}, rope ${rope}`,
      () => isPowerOf2(latent) && (rope === 0 || isPowerOf2(rope)),
    ),
    rule("io type", `the kernels take bf16 and f16, q and out are ${ioType}`, () => ioType !== "f32"),
    rule(
      "fp8 products",
      "8-bit products need a device with E4M3 and 32 tokens a tile",
      (config) =>
        config.probabilities !== "e4m3" ||
        ((software || features.includes("e4m3")) && number(config, "BLOCK_N") >= 32),
    ),
    rule(
      "heads a block",
      `no block more than half empty: ${heads} heads`,
      (config) => {
        const block = number(config, "BLOCK_H");
        return block <= 16 || headBlocks(problem, config) * block < heads + heads / 2 + 1;
      },
    ),
    rule(
      "matrix units",
      `64 heads a block are for compute capability ${WIDE_MATRIX_UNITS.map((x) => x / 10).join(", ")}, with 8 warps`,
      (config) =>
        config.BLOCK_H !== 64
          ? config.num_warps !== 8 || config.BLOCK_H === 32
          : config.num_warps === 8 && (software || WIDE_MATRIX_UNITS.includes(capability)),
    ),
    rule(
      "tokens a warp",
      "a warp multiplies 8 tokens at the least; more warps repeat what others do",
      (config) => number(config, "BLOCK_N") >= 8 * number(config, "num_warps") || config.BLOCK_H === 64,
    ),
    rule(
      "tiles in flight",
      "without a second stage in flight only a tile of 128 tokens keeps the device busy",
      (config) => config.num_stages !== 1 || config.BLOCK_N === 128,
    ),
    rule(
      "pieces",
      "a piece is 32 to 128 wide; with groups, each one's part of it is 32 or 64: at 128, writes meet in banks",
      (config) => {
        const width = latent / number(config, "pieces") / groupsOf(config);
        return width >= 32 && width <= (groupsOf(config) > 1 ? 64 : 128);
      },
    ),
    rule(
      "groups",
      "a warp for each group; E4M3 that is converted, 16 heads a block, 32 tokens a tile: elsewhere nothing is gained",
      (config) =>
        groupsOf(config) === 1 ||
        config.num_warps === groupsOf(config) && kvType === "fp8_e4m3" && config.probabilities !== "e4m3" &&
          config.BLOCK_H === 16 && config.BLOCK_N === 32,
    ),
    rule(
      "registers",
      "a thread has at most 255 registers, or max_registers, with its part of the output among them",
      (config) => accumulatorRegisters(problem, config) + OTHER_REGISTERS <= (number(config, "max_registers") || 255),
    ),
    rule(
      "shared memory",
      `a block has ${limits.workgroupStorageBytes} bytes at most`,
      (config) => sharedBytes(problem, config) <= limits.workgroupStorageBytes,
    ),
    rule(
      "stage 2's tile",
      `a thread holds ${MERGE_ELEMENTS[0]} to ${MERGE_ELEMENTS[1]} elements, of splits and widths that there are`,
      (config) => {
        const [rows, widths, warps] = ["merge_splits", "merge_widths", "merge_warps"].map((n) => number(config, n));
        const elements = rows * widths / (32 * warps);
        return elements >= MERGE_ELEMENTS[0] && elements <= MERGE_ELEMENTS[1] && widths <= latent &&
          (rows === 4 || rows < 2 * cutOf(problem, config).splits);
      },
    ),
    rule(
      "workspace",
      `partials take ${maxWorkspace} bytes at most`,
      (config) => workspaceBytes(problem, config) <= maxWorkspace,
    ),
  ];
}
