/** What a config makes of a problem on CUDA, for the cost model. */
import type { DeviceInfo } from "../../devices/device.ts";
import type { Config } from "../../space.ts";
import { estimateUs } from "../cost_model.ts";
import { type MlaDecodeProblem, rowBytes, totalTokens } from "../problem.ts";
import { clusterSize, headBlocks, mergeBlocks, type Path, workersOf, workspaceBytes } from "./geometry.ts";

/**
 * µs that 64 tokens cost a multiprocessor in arithmetic, and a block its start and end, by its query heads: lines through
 * what builds without loads take, and through what is left of short contexts (README.md's logs).
 */
const ARITHMETIC: Record<Path, { tile: readonly [number, number]; block: readonly [number, number] }> = {
  few_heads: { tile: [0.6, 0.024], block: [3, 0.05] },
  few_heads_fp8: { tile: [0.5, 0.02], block: [2.5, 0.03] },
  many_heads: { tile: [2.1, 0], block: [9, 0] },
  many_heads_fp8: { tile: [0.85, 0.0125], block: [3, 0.09] },
  portable: { tile: [2.2, 0], block: [4, 0] },
};

/**
 * What a cluster makes of a tile's arithmetic, which its copies are in the way of: where strips of 16 rows lie together in
 * the cache, and where each row is a copy of its own.
 */
const CLUSTER = { strips: 0.97, rows: 1.14 };

/** A guess of the config's time in µs. */
export function estimateCudaUs(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): number {
  const workers = workersOf(problem, config, device);
  const { tile, block } = ARITHMETIC[config.path as Path];
  const by = ([alone, each]: readonly [number, number]) => alone + each * (config.BLOCK_H as number);
  const cluster = clusterSize(config) === 1 ? 1 : problem.pageSize < 16 ? CLUSTER.rows : CLUSTER.strips;
  const blockTokens = totalTokens(problem) / workers;
  return estimateUs({
    blocks: workers * headBlocks(problem, config),
    slots: device.smCount * (config.blocks_per_sm as number),
    smCount: device.smCount,
    blockBytes: blockTokens * rowBytes(problem),
    blockArithmeticUs: Math.ceil(blockTokens / 64) * by(tile) * cluster,
    blockUs: by(block),
    partialBytes: workspaceBytes(problem, config, device),
    mergeBlocks: mergeBlocks(problem, config, device),
    beside: config.pdl === true,
  });
}
