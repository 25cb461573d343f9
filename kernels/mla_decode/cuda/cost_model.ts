/** What a config makes of a problem on CUDA, for the cost model. */
import type { DeviceInfo } from "../../devices/device.ts";
import type { Config } from "../../space.ts";
import { estimateUs } from "../cost_model.ts";
import { type MlaDecodeProblem, rowBytes, totalTokens } from "../problem.ts";
import { headBlocks, mergeBlocks, workersOf, workspaceBytes } from "./geometry.ts";

/** A guess of the config's time in µs. */
export function estimateCudaUs(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): number {
  const workers = workersOf(problem, config, device);
  return estimateUs({
    blocks: workers * headBlocks(problem, config),
    slots: device.smCount * (config.blocks_per_sm as number),
    smCount: device.smCount,
    blockBytes: totalTokens(problem) / workers * rowBytes(problem),
    partialBytes: workspaceBytes(problem, config, device),
    mergeBlocks: mergeBlocks(problem, config, device),
    beside: config.pdl === true,
  });
}
