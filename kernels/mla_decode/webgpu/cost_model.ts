/** What a config makes of a problem on WebGPU, for the cost model. */
import type { DeviceInfo } from "../../devices/device.ts";
import type { Config } from "../../space.ts";
import { estimateUs } from "../cost_model.ts";
import { type MlaDecodeProblem, rowBytes } from "../problem.ts";
import { geometry } from "./geometry.ts";
import { scheduleOf, workspaceBytes } from "./schedule.ts";

/** A guess of the config's time in µs. */
export function estimateWebGpuUs(problem: MlaDecodeProblem, config: Config, { smCount }: DeviceInfo): number {
  const { heads, batch, contextLens } = problem;
  const g = geometry(problem, config);
  const schedule = scheduleOf(problem, config, smCount);
  const splits = schedule.chunks.reduce(
    (sum, chunk, b) => sum + (chunk === 0 ? 0 : Math.ceil(contextLens[b] / chunk)),
    0,
  );
  return estimateUs({
    blocks: Math.max(1, splits) * Math.ceil(heads / g.BLOCK_H),
    slots: smCount,
    smCount,
    blockBytes: schedule.chunks.reduce((most, chunk) => Math.max(most, chunk), 0) * rowBytes(problem),
    partialBytes: workspaceBytes(problem, schedule),
    mergeBlocks: g.V_QUADS / g.MERGE_X * heads * batch,
    beside: false,
  });
}
