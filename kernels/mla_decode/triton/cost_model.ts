/** A guess of the time of a config in Triton. */
import type { DeviceInfo } from "../../devices/device.ts";
import type { Config } from "../../space.ts";
import { estimateUs } from "../cost_model.ts";
import { type MlaDecodeProblem, rowBytes } from "../problem.ts";
import { cutOf, headBlocks, sharedBytes, workspaceBytes } from "./geometry.ts";

/** Blocks of an SM at most: beyond that registers decide, not shared memory. */
const MOST_BLOCKS = 3;

/** A guess of both stages' time, in µs: what shares an SM is what shared memory has room for. */
export function estimateTritonUs(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): number {
  const { heads, latent, batch } = problem;
  const { chunk, splits } = cutOf(problem, config);
  const { workgroupStorageBytes, sharedBytesPerSm = workgroupStorageBytes } = device.limits;
  const perSm = Math.floor(sharedBytesPerSm / sharedBytes(problem, config));
  return estimateUs({
    blocks: headBlocks(problem, config) * splits * batch,
    slots: device.smCount * Math.max(1, Math.min(MOST_BLOCKS, perSm)),
    smCount: device.smCount,
    blockBytes: chunk * rowBytes(problem),
    partialBytes: workspaceBytes(problem, config),
    mergeBlocks: heads * batch * latent / (config.merge_widths as number),
    beside: config.pdl === true,
  });
}
