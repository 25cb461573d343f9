/**
 * The shapes of the Triton kernels: how requests are cut, and what a launch takes of the device.
 *
 * @module
 */
import type { Config } from "../../space.ts";
import { SERVED_GRANULE, splitLength } from "../kv_splits.ts";
import { ELEMENT_BYTES, maxContextLen, type MlaDecodeProblem } from "../problem.ts";

const number = (config: Config, name: string) => config[name] as number;

/** Groups of the latent width, a warp's each; 1, as in older configs that do not say, where warps share all of it. */
export function groupsOf(config: Config): number {
  return config.groups === undefined ? 1 : number(config, "groups");
}

/** How the tokens of every request are cut. */
export interface Cut {
  /** Tokens a split. */
  readonly chunk: number;
  /** Splits of the longest request, 1 at least. */
  readonly splits: number;
}

/**
 * All requests share one chunk, so that work items are of one size whatever the requests' lengths. It is a multiple of the
 * tile: a tile that is not full costs as much as one that is.
 */
export function cutOf(problem: MlaDecodeProblem, config: Config): Cut {
  const length = maxContextLen(problem);
  const granule = config.path === "served" ? SERVED_GRANULE : number(config, "BLOCK_N");
  const chunk = Math.max(granule, splitLength(length, number(config, "max_kv_splits"), granule));
  return { chunk, splits: Math.max(1, Math.ceil(length / chunk)) };
}

/** Blocks of query heads. */
export function headBlocks({ heads }: MlaDecodeProblem, config: Config): number {
  return Math.ceil(heads / number(config, "BLOCK_H"));
}

/** Bytes of partial outputs and their log-sum-exps. */
export function workspaceBytes(problem: MlaDecodeProblem, config: Config): number {
  const { batch, heads, latent } = problem;
  const partials = batch * cutOf(problem, config).splits * heads;
  return partials * (latent * (config.partials === "f32" ? 4 : 2) + 4);
}

/** Registers a thread for its part of the output of a block. */
export function accumulatorRegisters({ latent }: MlaDecodeProblem, config: Config): number {
  return number(config, "BLOCK_H") * latent / (32 * number(config, "num_warps"));
}

/** What a launch takes beside its tiles: barriers of newer devices, and alignment. */
const MARGIN = 1024;

/**
 * Shared memory of a block of stage 1 in bytes, as Triton lays it out: the queries, a tile of operands, and `num_stages` − 1
 * tiles as the cache stores them. Scores and probabilities take the place of what is done with.
 *
 * A 16-bit cache has no tile of operands: its tiles in flight are operands already.
 *
 * Groups exchange their scores while values are in use, and take only rope's operands' place. The next tile's rope is in
 * registers.
 */
export function sharedBytes({ latent, rope, kvType }: MlaDecodeProblem, config: Config): number {
  const [heads, tokens, stages] = ["BLOCK_H", "BLOCK_N", "num_stages"].map((name) => number(config, name));
  const width = latent + rope;
  const stored = width * ELEMENT_BYTES[kvType];
  const isFp8 = kvType === "fp8_e4m3";
  const groups = groupsOf(config);
  if (groups > 1) {
    const exchange = Math.max(2 * rope, 4 * groups * heads);
    return heads * width * 2 + tokens * (2 * latent + exchange + (stages - 1) * latent) + MARGIN;
  }
  const tile = isFp8 ? 2 * width + (stages - 1) * stored : Math.max(1, stages) * stored;
  // Wide matrix units read E4M3 values transposed, from a copy of the tile.
  const transposed = isFp8 && config.probabilities === "e4m3" && heads >= 64 ? latent : 0;
  return heads * width * 2 + tokens * (tile + transposed) + MARGIN;
}
