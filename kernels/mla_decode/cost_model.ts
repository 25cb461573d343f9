/**
 * A guess of MLA decode's time, from waves, bytes and launches. It knows what splits and blocks do; what makes one tile
 * faster than another is for the search to find, but for what a kernel says of its arithmetic.
 *
 * Rates are a data-centre GPU's, per multiprocessor. Other devices are slower all round, which leaves the ratios.
 *
 * @module
 */

/** Bytes a µs that one multiprocessor reads: 4.33 TB/s over 132 of them, and half as much again where few are at it. */
const SHARED_RATE = 32_800;
const LONE_RATE = 49_000;

/** µs that a block takes to start and to write its partial output, where the kernel does not say. */
const BLOCK_US = 2;

/** µs of a launch after another, and of one that starts beside the end of the one before. */
const LAUNCH_US = { apart: 3, beside: 1.5 };

/** What a config makes of a problem. */
export interface Shape {
  /** Work items of stage 1, and how many of them run at once. */
  readonly blocks: number;
  readonly slots: number;
  readonly smCount: number;
  /** Cache bytes that the largest work item reads. */
  readonly blockBytes: number;
  /** µs of arithmetic that the largest work item costs a multiprocessor, beside its bytes, and its start and end. */
  readonly blockArithmeticUs?: number;
  readonly blockUs?: number;
  /** Bytes of all partial outputs, and the blocks of stage 2 that merge them. */
  readonly partialBytes: number;
  readonly mergeBlocks: number;
  /** Stage 2 starts beside stage 1's end. */
  readonly beside: boolean;
}

/** A guess of the time of both stages, in µs. */
export function estimateUs(shape: Shape): number {
  const { blocks, slots, smCount, blockBytes, partialBytes, mergeBlocks, beside } = shape;
  const { blockArithmeticUs = 0, blockUs = BLOCK_US } = shape;
  const waves = Math.ceil(blocks / slots);
  const perSm = Math.max(1, Math.min(blocks, slots) / smCount);
  const rate = blocks >= smCount / 2 ? SHARED_RATE : LONE_RATE;
  const stage1 = waves * (blockUs + perSm * Math.max(blockBytes / rate, blockArithmeticUs));
  const merging = partialBytes / (SHARED_RATE * Math.min(smCount, mergeBlocks));
  return stage1 + (beside ? LAUNCH_US.beside : LAUNCH_US.apart) + merging;
}
