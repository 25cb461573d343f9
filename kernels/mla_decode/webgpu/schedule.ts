/**
 * Which splits a config gives each request: the served heuristic or the wave-aware one, under the config's cap.
 *
 * @module
 */
import type { Config } from "../../space.ts";
import { SERVED_GRANULE, servedKvSplits, splitLength, waveKvSplits } from "../kv_splits.ts";
import type { MlaDecodeProblem } from "../problem.ts";

/** How the requests of a batch are cut. */
export interface Schedule {
  /** Tokens a split of each request; 0 for an empty one. */
  readonly chunks: readonly number[];
  /** The most splits that any request has, 1 or more: partial buffers have room for so many of each. */
  readonly maxSplits: number;
}

/** The schedule of a config. Chunks are multiples of 32 tokens, as in the served kernels. */
export function scheduleOf({ contextLens, heads }: MlaDecodeProblem, config: Config, smCount: number): Schedule {
  const cap = config.max_kv_splits as number;
  const splits = config.schedule === "wave"
    ? waveKvSplits({
      contextLens,
      headBlocks: Math.ceil(heads / (config.BLOCK_H as number)),
      slots: smCount,
      cap,
      granule: SERVED_GRANULE,
    })
    : servedKvSplits({ contextLens, heads, smCount, cap });
  const chunks = contextLens.map((length, b) => splitLength(length, splits[b]));
  const used = chunks.map((chunk, b) => chunk === 0 ? 0 : Math.ceil(contextLens[b] / chunk));
  return { chunks, maxSplits: Math.max(1, used.reduce((most, count) => Math.max(most, count), 0)) };
}

/** Bytes of partial outputs and log-sum-exps, in f32, that the schedule's splits take. */
export function workspaceBytes({ batch, heads, latent }: MlaDecodeProblem, { maxSplits }: Schedule): number {
  return batch * maxSplits * heads * (latent + 1) * 4;
}
