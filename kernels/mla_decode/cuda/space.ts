/**
 * What may be chosen for MLA decode on CUDA, and which combinations are admitted.
 *
 * @module
 */
import type { DeviceInfo } from "../../devices/device.ts";
import type { SpaceOptions } from "../../kernel.ts";
import type { Config, Constraint, Param, Space } from "../../space.ts";
import { numKvSplits, splitCandidates } from "../kv_splits.ts";
import { maxContextLen, type MlaDecodeProblem } from "../problem.ts";
import {
  clusterSize,
  headBlocks,
  type Path,
  pathOf,
  type PathParam,
  PATHS,
  type PathShape,
  workspaceBytes,
} from "./geometry.ts";

/** Compute capability, times ten. */
const HOPPER = 90;
/** Tokens that a worker's stretch is a multiple of (MLA_GRANULE). */
const GRANULE = 16;
/** Splits of a request at most: beyond it stage 2 reads more than stage 1. */
const MOST_SPLITS = 1024;

/** Every admitted config of `problem` on `device`. */
export function space(problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions = {}): Space {
  return { params: params(problem, device), constraints: constraints(problem, device, options) };
}

/**
 * The served defaults, on the path that every card has: BLOCK_N 32, num_stages 2, 16 heads a block, the served splits, and
 * a second stage that is launched after the first. No cluster_size, so that it stays what the results name.
 */
export function baseline(problem: MlaDecodeProblem, { smCount }: DeviceInfo): Config {
  const { contextLens, heads } = problem;
  return {
    path: "portable",
    BLOCK_N: 32,
    num_stages: 2,
    BLOCK_H: 16,
    warpgroups: 2,
    blocks_per_sm: 1,
    operand_buffers: 2,
    l2_prefetch: false,
    direct: false,
    max_kv_splits: Math.max(1, ...numKvSplits({ contextLens, heads, smCount })),
    partials: "f32",
    pdl: false,
    merge_slices: 4,
    merge_threads: 128,
    merge_item: "warp",
  };
}

const isFewHeads = ({ path }: Config) => path === "few_heads" || path === "few_heads_fp8";

function params(problem: MlaDecodeProblem, device: DeviceInfo): Param[] {
  const paths = (Object.keys(PATHS) as Path[]).filter((path) =>
    (!PATHS[path].needsHopper || device.limits.computeCapability === HOPPER) &&
    PATHS[path].takes(problem)
  );
  const every = (name: PathParam) => {
    const values = new Set(paths.flatMap((path) => PATHS[path].values(problem)[name]));
    return [...values].sort((a, b) => Number(a) - Number(b));
  };
  const param = (name: string, values: Param["values"], what: string, recompiles = true): Param => (
    { name, values, what, recompiles }
  );
  return [
    param(
      "path",
      paths,
      "stage 1's kernel: memory-bound or matrix-bound (any cache or FP8) on Hopper, or for every card",
    ),
    param("BLOCK_N", every("BLOCK_N"), "tokens a tile"),
    param("num_stages", every("num_stages"), "pieces in flight: tiles, or on the few-heads path rings of 16 tokens"),
    param("BLOCK_H", every("BLOCK_H"), "query heads a block"),
    param("warpgroups", every("warpgroups"), "computing warpgroups a block"),
    param("blocks_per_sm", every("blocks_per_sm"), "blocks that share a multiprocessor"),
    param(
      "operand_buffers",
      every("operand_buffers"),
      "half blocks of converted values that may be in use (many-heads)",
    ),
    param("l2_prefetch", every("l2_prefetch"), "rows go to L2 four tiles ahead (many-heads)"),
    {
      ...param(
        "cluster_size",
        every("cluster_size").filter((size) => size === 1 || device.features.includes("clusters")),
        "blocks of a worker's heads that bring half of every tile to each other (many-heads, FP8 caches)",
      ),
      absent: 1,
    },
    param("direct", every("direct"), "a request that one block has whole skips stage 2 (many-heads)"),
    // Normalised outputs of an FP8 cache fit f16; a bf16 cache may hold values that do not.
    param("partials", problem.kvType === "bf16" ? ["f16", "f32"] : ["f16"], "how partial outputs are stored"),
    param(
      "pdl",
      device.features.includes("pdl") ? [true, false] : [false],
      "stage 2 starts beside stage 1's end, and the FP8 caches' stage 1 beside the end of what runs before it",
    ),
    param("merge_slices", [2, 4, 8, 16], "pieces of the widths that stage 2 merges apart"),
    param("merge_threads", [64, 128, 256], "threads a block of stage 2"),
    param("merge_item", ["warp", "block"], "what merges one piece of one head"),
    param("max_kv_splits", splits(problem, device.smCount), "splits of the longest request", false),
  ];
}

/** Fractions and multiples of the SM count, over a request's blocks of any height; powers of two. */
function splits(problem: MlaDecodeProblem, smCount: number): number[] {
  const most = Math.max(1, Math.min(MOST_SPLITS, Math.ceil(maxContextLen(problem) / GRANULE)));
  const blocks = [1, ...[16, 32, 64].map((heads) => Math.ceil(problem.heads / heads))];
  return splitCandidates({ smCount, items: blocks.map((count) => count * problem.batch), most, largestPower: 256 });
}

function constraints(problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions): Constraint[] {
  const { limits } = device;
  const rule = (name: string, reason: string, holds: (config: Config, path: PathShape) => boolean): Constraint => (
    { name, reason, holds: (config) => holds(config, pathOf(config)) }
  );
  const valuesOf = {
    few_heads: PATHS.few_heads.values(problem),
    few_heads_fp8: PATHS.few_heads_fp8.values(problem),
    many_heads: PATHS.many_heads.values(problem),
    many_heads_fp8: PATHS.many_heads_fp8.values(problem),
    portable: PATHS.portable.values(problem),
  };
  const names = Object.keys(valuesOf.portable) as PathParam[];
  const shared = (config: Config) => pathOf(config).sharedBytes(problem, config);
  return [
    rule(
      "cache type",
      `the kernels read fp8_e4m3 and bf16, the cache is ${problem.kvType}`,
      () => problem.kvType !== "f16",
    ),
    rule("io type", `the kernels take bf16 and f16, q and out are ${problem.ioType}`, () => problem.ioType !== "f32"),
    rule(
      "widths",
      "the kernels are made for a latent width of 512 and a rope width of 64",
      () => problem.latent === 512 && problem.rope === 64,
    ),
    rule("path's values", "each path has kernels for some tiles, heads, stages and warpgroups", (config) => {
      const values = valuesOf[config.path as Path];
      return names.every((name) => values[name].includes(name === "cluster_size" ? clusterSize(config) : config[name]));
    }),
    rule(
      "path's types",
      `some paths read FP8 caches alone, or bf16 queries alone: ${problem.kvType}, ${problem.ioType}`,
      (_, path) => path.takes(problem),
    ),
    rule(
      "heads a block",
      `no block more than half empty: ${problem.heads} heads`,
      (config) => {
        const heads = config.BLOCK_H as number;
        return heads <= 16 || headBlocks(problem, config) * heads < problem.heads + heads / 2 + 1;
      },
    ),
    rule(
      "shared memory",
      `a block has ${limits.workgroupStorageBytes} bytes at most`,
      (config) => shared(config) <= limits.workgroupStorageBytes,
    ),
    rule(
      "blocks an SM",
      `the blocks share ${limits.sharedBytesPerSm} bytes, each with ${limits.sharedBytesReserved} more`,
      (config) =>
        (config.blocks_per_sm as number) * (shared(config) + limits.sharedBytesReserved) <= limits.sharedBytesPerSm,
    ),
    rule(
      "registers",
      "few-heads blocks: two an SM with one computing warpgroup, one with two; one on the FP8 path up to 16 heads",
      (config) =>
        !isFewHeads(config) ||
        ((config.warpgroups === 1) === (config.blocks_per_sm === 2) &&
          (config.path === "few_heads" || config.warpgroups !== 1 || (config.BLOCK_H as number) <= 16)),
    ),
    rule(
      "slots",
      "many-heads blocks for FP8 caches have three tiles of shared memory with 64 heads, four with fewer",
      (config) => config.path !== "many_heads_fp8" || (config.num_stages === 3) === (config.BLOCK_H === 64),
    ),
    rule(
      "cluster",
      "a cluster is two blocks of 64 heads that walk the same tiles",
      (config) => clusterSize(config) === 1 || (config.BLOCK_H === 64 && headBlocks(problem, config) === 2),
    ),
    rule(
      "ring",
      "a ring that leaves a third of shared memory empty keeps too few bytes in flight",
      (config) =>
        !isFewHeads(config) ||
        (config.blocks_per_sm as number) * shared(config) > limits.workgroupStorageBytes / 1.5,
    ),
    rule(
      "direct",
      "writing past stage 2 helps only where a request may lie in one block",
      (config) => config.direct !== true || (config.max_kv_splits as number) <= 2,
    ),
    rule(
      "merging blocks",
      "a block for an item pays only where the items are fewer than the multiprocessors' places",
      (config) =>
        config.merge_item === "warp" || problem.batch * problem.heads * (config.merge_slices as number) <= 4096,
    ),
    rule(
      "blocks of stage 2",
      "more threads than a block's pieces of work are idle",
      (config) => config.merge_item === "block" || (config.merge_threads as number) <= 128,
    ),
    rule(
      "workspace",
      `partials take ${options.maxWorkspaceBytes ?? limits.memoryBytes} bytes at most`,
      (config) => workspaceBytes(problem, config, device) <= (options.maxWorkspaceBytes ?? limits.memoryBytes),
    ),
  ];
}
