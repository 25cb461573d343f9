/** A guess of the time of a config in Triton. */
import type { DeviceInfo } from "../../devices/device.ts";
import type { Config } from "../../space.ts";
import { estimateUs } from "../cost_model.ts";
import { type MlaDecodeProblem, rowBytes } from "../problem.ts";
import { cutOf, groupsOf, headBlocks, sharedBytes, workspaceBytes } from "./geometry.ts";

/** Registers of an SM, and what a thread takes where nothing bounds it. */
const SM_REGISTERS = 65_536;
const FREE_REGISTERS = 240;

/** µs that 64 tokens cost an SM of 16 query heads' blocks, and each head more; with groups less of it. */
const TILE_US = { base: 1.2, head: 0.0625, groups: 0.91 };

/** A guess of both stages' time, in µs: what shares an SM is what shared memory and registers have room for. */
export function estimateTritonUs(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): number {
  const { heads, latent, batch } = problem;
  const { chunk, splits } = cutOf(problem, config);
  const { workgroupStorageBytes, sharedBytesPerSm = workgroupStorageBytes } = device.limits;
  const registers = (config.max_registers as number) || FREE_REGISTERS;
  const resident = Math.max(
    1,
    Math.min(
      Math.floor(sharedBytesPerSm / sharedBytes(problem, config)),
      Math.floor(SM_REGISTERS / (registers * 32 * (config.num_warps as number))),
    ),
  );
  const blocks = headBlocks(problem, config) * splits * batch;
  const tileUs = (TILE_US.base + TILE_US.head * (config.BLOCK_H as number)) *
    (groupsOf(config) > 1 ? TILE_US.groups : 1);
  // Blocks of an SM hide each other's latency: two take 7 % longer than three for the same work, and one 27 %.
  const together = Math.max(1, Math.min(resident, blocks / device.smCount));
  return estimateUs({
    blocks,
    slots: device.smCount * resident,
    smCount: device.smCount,
    blockBytes: chunk * rowBytes(problem),
    blockArithmeticUs: chunk / 64 * tileUs * (0.87 + 0.4 / together),
    partialBytes: workspaceBytes(problem, config),
    mergeBlocks: heads * batch * latent / (config.merge_widths as number),
    beside: config.pdl === true,
  });
}
