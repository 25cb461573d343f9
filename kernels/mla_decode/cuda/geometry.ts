/**
 * The shapes of the CUDA kernels: grids, threads and shared memory of each path, as its source says them.
 *
 * @module
 */
import type { DeviceInfo } from "../../devices/device.ts";
import type { Config, ParamValue } from "../../space.ts";
import { type IoType, type KvType, maxContextLen, type MlaDecodeProblem, totalTokens } from "../problem.ts";

/** Stage 1 has five kernels: four for Hopper, by what binds them and the cache's type, and one for every card from Ampere on. */
export type Path = "few_heads" | "few_heads_fp8" | "many_heads" | "many_heads_fp8" | "portable";

/** Parameters whose values depend on the path. */
export type PathParam =
  | "BLOCK_N"
  | "num_stages"
  | "BLOCK_H"
  | "warpgroups"
  | "blocks_per_sm"
  | "operand_buffers"
  | "l2_prefetch"
  | "cluster_size"
  | "direct";

/** How a path is compiled and launched. */
export interface PathShape {
  readonly entryPoint: string;
  /** Lowest compute capability times ten; Hopper's matrix instructions exist on 9.0 alone. */
  readonly needsHopper: boolean;
  /** Whether it reads the problem's cache and queries. */
  takes(problem: MlaDecodeProblem): boolean;
  /**
   * Whether stage 1, too, may be launched while the launch before it ends: with MLA_PDL it waits for that launch before it
   * reads or writes memory, so it may overwrite the partials that the stage 2 before it reads.
   */
  readonly waitsFirst: boolean;
  /** Whether stage 2 should let the next launch start beside it (MLA_EARLY); where absent, never. */
  early?(config: Config): boolean;
  /**
   * Whether whole requests (max_kv_splits 1) that take several waves of blocks go to one wave of blocks instead, each
   * with several requests one after the other.
   */
  readonly oneWave?: boolean;
  /** Values of the parameters that the path has a kernel for. */
  values(problem: MlaDecodeProblem): Record<PathParam, readonly ParamValue[]>;
  /** Tokens that a worker's stretch of the token line is a multiple of (MLA_GRANULE, the same in both stages). */
  readonly granule: number;
  defines(config: Config): Record<string, number>;
  /** Macros of stage 2 that differ from its defaults. */
  mergeDefines?(config: Config): Record<string, number>;
  grid(headBlocks: number, workers: number): [number, number, number];
  threads(config: Config): number;
  /** Dynamic shared memory, bytes. */
  sharedBytes(problem: MlaDecodeProblem, config: Config): number;
}

const number = (config: Config, name: string) => config[name] as number;
/** Blocks that bring rows to each other. */
export const clusterSize = (config: Config): number =>
  config.cluster_size === undefined ? 1 : number(config, "cluster_size");
/** Bytes between token rows in shared memory: 80 more than a multiple of 128, against bank conflicts. */
const rowPitch = ({ kvType }: MlaDecodeProblem) => kvType === "bf16" ? 1232 : 592;

const reads = (caches: readonly KvType[], queries: readonly IoType[]) => ({ kvType, ioType }: MlaDecodeProblem) =>
  caches.includes(kvType) && queries.includes(ioType);

/** What both few-heads kernels take: computing warpgroups and one that loads, a worker a column of blocks. */
const FEW_HEADS_LAUNCH: Pick<PathShape, "defines" | "grid" | "threads"> = {
  defines: (config) => ({
    BLOCK_H: number(config, "BLOCK_H"),
    NUM_STAGES: number(config, "num_stages"),
    NUM_GROUPS: number(config, "warpgroups"),
  }),
  grid: (headBlocks, workers) => [workers, headBlocks, 1],
  threads: (config) => (number(config, "warpgroups") + 1) * 128,
};

/** The paths by name. */
export const PATHS: Record<Path, PathShape> = {
  few_heads: {
    entryPoint: "mla_few_heads",
    needsHopper: true,
    takes: reads(["bf16"], ["bf16", "f16"]), // It reads FP8 as well, but few_heads_fp8 and many_heads_fp8 are faster there.
    waitsFirst: false,
    granule: 16,
    values: () => ({
      BLOCK_N: [64],
      // Two warpgroups take whole turns of four slots each: in a ring of 18 one could wait for the other's slot for ever.
      num_stages: [4, 8],
      BLOCK_H: [8, 16, 24, 32],
      warpgroups: [1, 2],
      blocks_per_sm: [1, 2],
      operand_buffers: [2],
      l2_prefetch: [false],
      cluster_size: [1],
      direct: [false],
    }),
    ...FEW_HEADS_LAUNCH,
    // few_heads_parts.cuh: ring | q | P (outputs of the other warpgroups at a segment's end) | m and l | reductions | barriers
    sharedBytes(problem, config) {
      const [heads, groups] = [number(config, "BLOCK_H"), number(config, "warpgroups")];
      const kStep = 2 * (heads / 8) * 128;
      const q = (problem.latent + problem.rope) / 16 * kStep;
      const exchange = Math.max(q + groups * 2 * 4 * kStep, (groups - 1) * problem.latent * heads * 2);
      return number(config, "num_stages") * (16 * rowPitch(problem) + 16) + exchange + groups * 24 * heads;
    },
  },
  few_heads_fp8: {
    entryPoint: "mla_few_heads_fp8",
    needsHopper: true,
    takes: reads(["fp8_e4m3"], ["bf16"]), // q in two E4M3 terms holds bf16's bits, not f16's.
    waitsFirst: true,
    // Measured: gains with one large block an SM and few merging blocks, loses with two small blocks.
    early: (config) => config.warpgroups === 2 && config.merge_item === "block" && config.direct !== true,
    granule: 16,
    // Two blocks an SM with one computing warpgroup and two tiles each, or one block with two and four.
    values: () => ({
      BLOCK_N: [64],
      num_stages: [2, 4],
      BLOCK_H: [8, 16, 24], // 32 spills a few words, and many_heads_fp8 is faster.
      warpgroups: [1, 2],
      blocks_per_sm: [1, 2],
      operand_buffers: [2],
      l2_prefetch: [false],
      cluster_size: [1],
      direct: [true, false],
    }),
    ...FEW_HEADS_LAUNCH,
    // few_heads_fp8_parts.cuh: ring | q | P | scales | m and l | reductions | barriers
    sharedBytes({ latent, rope }, config) {
      const [heads, groups, stages] = [
        number(config, "BLOCK_H"),
        number(config, "warpgroups"),
        number(config, "num_stages"),
      ];
      const column = 2 * (heads / 8) * 128; // two terms of 16 widths, or of 16 tokens
      const q = (latent + rope) / 16 * (column + 16);
      const p = groups * 4 * column;
      return stages * (64 * 592 + 16) + q + p + heads * 4 + groups * heads * 40;
    },
  },
  many_heads: {
    entryPoint: "mla_decode_many_heads",
    needsHopper: true,
    takes: reads(["bf16"], ["bf16", "f16"]), // It reads FP8 as well, but many_heads_fp8 is faster there.
    waitsFirst: false,
    granule: 64,
    values: () => ({
      BLOCK_N: [64],
      num_stages: [3],
      BLOCK_H: [64],
      warpgroups: [3],
      blocks_per_sm: [1],
      operand_buffers: [2, 3],
      l2_prefetch: [true, false],
      cluster_size: [1],
      direct: [true, false],
    }),
    defines: (config) => ({
      NUM_STAGES: number(config, "num_stages"),
      A_BUFS: number(config, "operand_buffers"),
      MLA_L2_AHEAD: config.l2_prefetch ? 1 : 0,
    }),
    grid: (headBlocks, workers) => [headBlocks, workers, 1],
    threads: () => 384,
    sharedBytes: () => 223592,
  },
  many_heads_fp8: {
    entryPoint: "mla_decode_many_heads_fp8",
    needsHopper: true,
    takes: reads(["fp8_e4m3"], ["bf16", "f16"]),
    waitsFirst: true,
    oneWave: true,
    granule: 64,
    values: ({ heads }) => ({
      BLOCK_N: [64],
      num_stages: [3, 4], // As many as a block has room for.
      BLOCK_H: heads > 16 ? [32, 64] : [16],
      warpgroups: [4],
      blocks_per_sm: [1],
      operand_buffers: [2],
      l2_prefetch: [false],
      cluster_size: heads > 64 ? [1, 2] : [1],
      direct: [true, false],
    }),
    defines: (config) => ({ BLOCK_H: number(config, "BLOCK_H"), CLUSTER: clusterSize(config) }),
    // Its blocks fill a multiprocessor, so stage 2's come as they go: no time for a rehearsal.  With two slices a warp
    // reads one partial at a time: more of them at once.
    mergeDefines: (config) => ({ MERGE_REHEARSAL: 0, MERGE_IN_FLIGHT: config.merge_slices === 2 ? 8 : 5 }),
    grid: (headBlocks, workers) => [headBlocks, workers, 1],
    threads: (config) => config.BLOCK_H === 64 ? 512 : 640, // Below 64 heads, a warpgroup that loads.
    // many_heads_fp8_parts.cuh: q and P | slots | references, what O shrinks by | sums | list | flags | barriers
    sharedBytes({ latent, rope }, config) {
      const heads = number(config, "BLOCK_H");
      const cluster = clusterSize(config) > 1;
      const [slots, places, pitch] = heads < 64 ? [4, 8, 592] : [3, 4, 576];
      const tile = 64 * pitch + (cluster ? 4 * 16 : 0); // A cluster's strips of 16 rows lie 16 bytes apart.
      const barriers = (heads < 64 || cluster ? 2 : 1) * slots + places + 1;
      return ((latent + rope) / 64 + places) * 128 * heads + slots * tile + (2 + 2 * places) * 4 * heads +
        1024 + 256 + 4 * places + 8 * barriers;
    },
  },
  portable: {
    entryPoint: "mla_portable",
    needsHopper: false,
    takes: reads(["fp8_e4m3", "bf16"], ["bf16", "f16"]),
    waitsFirst: false,
    granule: 16,
    values: () => ({
      BLOCK_N: [32, 64],
      num_stages: [2, 3, 4],
      BLOCK_H: [16],
      warpgroups: [2],
      blocks_per_sm: [1, 2],
      operand_buffers: [2],
      l2_prefetch: [false],
      cluster_size: [1],
      direct: [false],
    }),
    defines: (config) => ({
      BLOCK_N: number(config, "BLOCK_N"),
      NUM_STAGES: number(config, "num_stages"),
      MIN_BLOCKS: number(config, "blocks_per_sm"),
    }),
    grid: (headBlocks, workers) => [workers, headBlocks, 1],
    threads: () => 256,
    // portable.cu: tiles | partial scores of 4 quarters | P | alpha and sums
    sharedBytes(problem, config) {
      const tokens = number(config, "BLOCK_N");
      const tiles = number(config, "num_stages") * tokens * rowPitch(problem);
      return tiles + 4 * 16 * tokens * 4 + 16 * (tokens + 8) * 2 + 2 * 16 * 4;
    },
  },
};

/** The path that a config takes. */
export function pathOf(config: Config): PathShape {
  return PATHS[config.path as Path];
}

/** Blocks of query heads. */
export function headBlocks({ heads }: MlaDecodeProblem, config: Config): number {
  return Math.ceil(heads / number(config, "BLOCK_H"));
}

/**
 * Workers of stage 1: the token line of the batch is cut into so many even stretches that the longest request is cut into
 * about `max_kv_splits` (exactly, where all requests are equally long).
 */
export function workersOf(problem: MlaDecodeProblem, config: Config, { smCount }: DeviceInfo): number {
  const longest = maxContextLen(problem);
  if (longest === 0) return 1;
  const splits = number(config, "max_kv_splits");
  const workers = Math.max(1, Math.floor(splits * totalTokens(problem) / longest));
  if (splits > 1 || !pathOf(config).oneWave) return workers;
  const waves = Math.ceil(workers * headBlocks(problem, config) / (smCount * number(config, "blocks_per_sm")));
  return Math.ceil(workers / waves);
}

/** Bytes of partial outputs and their log-sum-exps. */
export function workspaceBytes(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): number {
  const partials = (workersOf(problem, config, device) + problem.batch) * problem.heads;
  return partials * (problem.latent * (config.partials === "f32" ? 4 : 2) + 4);
}

/** Blocks of stage 2: one for each item, or for each few items, up to eight a multiprocessor. */
export function mergeBlocks({ batch, heads }: MlaDecodeProblem, config: Config, { smCount }: DeviceInfo): number {
  const items = batch * heads * number(config, "merge_slices");
  const perBlock = config.merge_item === "block" ? 1 : number(config, "merge_threads") / 32;
  return Math.max(1, Math.min(8 * smCount, Math.ceil(items / perBlock)));
}
