/**
 * MLA decode in Triton: the launches of a config and their buffers.
 *
 * @module
 */
import type { BufferSpec, DeviceInfo, TritonArg, TritonLaunch, TritonProgram } from "../../devices/device.ts";
import type { Implementation } from "../../kernel.ts";
import { pythonCode } from "../../source_code.ts";
import type { Config } from "../../space.ts";
import { ELEMENT_BYTES, type MlaDecodeProblem } from "../problem.ts";
import { estimateTritonUs } from "./cost_model.ts";
import decode from "./decode.py" with { type: "text" };
import { cutOf, groupsOf, headBlocks, workspaceBytes } from "./geometry.ts";
import served from "./served.py" with { type: "text" };
import { baseline, space } from "./space.ts";

const DECODE = new URL("./decode.py", import.meta.url).pathname;
const SERVED = new URL("./served.py", import.meta.url).pathname;

/** MLA decode in Triton, our own. */
export const tritonMlaDecode: Implementation<MlaDecodeProblem> = {
  problemDefaults: { ioType: "bf16" },
  space,
  baseline,
  workspaceBytes,
  program,
  estimateUs: estimateTritonUs,
  sources: () => [decode, served].map(pythonCode),
};

type Args = Readonly<Record<string, TritonArg>>;

function program(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): TritonProgram {
  const { heads, latent, batch, ioType } = problem;
  const partials = batch * cutOf(problem, config).splits * heads;
  const buffers: BufferSpec[] = [
    { name: "partial", bytes: partials * latent * (config.partials === "f32" ? 4 : 2) },
    { name: "partial_lse", bytes: partials * 4 },
    { name: "out", bytes: batch * heads * latent * ELEMENT_BYTES[ioType] },
    { name: "lse", bytes: batch * heads * 4 },
  ];
  return {
    backend: "triton",
    buffers,
    launches: config.path === "served" ? servedLaunches(problem, config, device) : launches(problem, config, device),
    outputs: [
      { name: "out", type: ioType, shape: [batch, heads, latent] },
      { name: "lse", type: "f32", shape: [batch, heads] },
    ],
  };
}

/** How stage 1 reads the cache: by its own conversions, by shifting, or in plain operations for the interpreter. */
function cacheReading({ kvType }: MlaDecodeProblem, { features, software }: DeviceInfo): string {
  if (kvType !== "fp8_e4m3") return software ? "16bit_plain" : "16bit";
  return software ? "e4m3_plain" : features.includes("e4m3") ? "e4m3" : "e4m3_shift";
}

/** What both stages' launches take, by parameter name. */
function commonArgs(problem: MlaDecodeProblem, config: Config, device: DeviceInfo) {
  const { heads, latent, rope, kvType, ioType, kvScale, smScale, logitCap, sinks, accuracy } = problem;
  const { chunk } = cutOf(problem, config);
  const reading = cacheReading(problem, device);
  const isFp8P = config.path === "served" ? accuracy === "fp8_p" : config.probabilities === "e4m3";
  // Shifted values are 256 times too small; products in E4M3 take codes as they are.
  const shift = reading === "e4m3_plain" || reading === "e4m3_shift" ? 256 : 1;
  const partials: Args = {
    partial: { tensor: "partial", type: config.partials === "f32" ? "f32" : "f16" },
    partial_lse: { tensor: "partial_lse", type: "f32" },
    kv_indptr: { tensor: "kv_indptr", type: "i32" },
    chunk: { value: chunk },
    HEADS: { value: heads },
    LATENT: { value: latent },
  };
  const stage1: Args = {
    ...partials,
    q: { tensor: "q", type: ioType },
    cache: { tensor: "cache", type: kvType === "fp8_e4m3" ? "u8" : kvType },
    kv_indices: { tensor: "kv_indices", type: "i32" },
    logit_cap: { f32: logitCap },
    ROPE: { value: rope },
    KV: { value: reading },
    P_FP8: { value: isFp8P },
    HAS_LOGIT_CAP: { value: logitCap > 0 },
    BLOCK_H: { value: config.BLOCK_H },
    BLOCK_N: { value: config.BLOCK_N },
  };
  const stage2: Args = {
    ...partials,
    sinks: { tensor: sinks ? "sinks" : "lse", type: "f32" }, // Never read where there are none.
    out: { tensor: "out", type: ioType },
    lse: { tensor: "lse", type: "f32" },
    out_scale: { f32: kvScale * (isFp8P ? 1 : shift) },
    HAS_SINKS: { value: sinks },
  };
  return { stage1, stage2, logitScale: smScale * kvScale * shift };
}

function launches(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): TritonLaunch[] {
  const { heads, latent, batch, logitCap } = problem;
  const { splits } = cutOf(problem, config);
  const { stage1: { P_FP8, ...stage1 }, stage2, logitScale } = commonArgs(problem, config, device);
  const groups = groupsOf(config);
  const capability = device.limits.computeCapability ?? 0;
  return [
    {
      label: "stage 1",
      module: DECODE,
      function: groups > 1 ? "stage1_groups" : "stage1",
      args: {
        ...stage1,
        ...(groups > 1 ? { GROUPS: { value: groups } } : { P_FP8 }),
        logit_scale: { f32: logitScale * (logitCap > 0 ? 1 : Math.LOG2E) },
        // The fifth generation of matrix units reads all operands from memory; its pipeliner takes nothing opaque.
        OPAQUE: { value: !(capability >= 100 && capability < 120 && config.BLOCK_H === 64) },
        PIECES: { value: config.pieces },
        NUM_STAGES: { value: config.num_stages },
        PDL: { value: config.pdl },
      },
      grid: [headBlocks(problem, config), splits, batch],
      options: { num_warps: config.num_warps as number, maxnreg: config.max_registers as number },
    },
    {
      label: "stage 2",
      module: DECODE,
      function: "stage2",
      args: {
        ...stage2,
        splits: { value: splits },
        BLOCK_S: { value: config.merge_splits },
        BLOCK_D: { value: config.merge_widths },
        PDL: { value: config.pdl },
      },
      grid: [heads, latent / (config.merge_widths as number), batch],
      options: { num_warps: config.merge_warps as number, launch_pdl: config.pdl === true },
    },
  ];
}

/** The launches of a server: its grids, its warps, its pipelining. */
function servedLaunches(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): TritonLaunch[] {
  const { heads, batch } = problem;
  const { splits } = cutOf(problem, config);
  const { stage1, stage2, logitScale } = commonArgs(problem, config, device);
  return [
    {
      label: "stage 1",
      module: SERVED,
      function: "stage1",
      args: { ...stage1, logit_scale: { f32: logitScale } },
      grid: [batch, headBlocks(problem, config), splits],
      options: { num_warps: config.num_warps as number, num_stages: config.num_stages as number },
    },
    {
      label: "stage 2",
      module: SERVED,
      function: "stage2",
      args: { ...stage2, SPLITS: { value: splits } },
      grid: [batch, heads, 1],
      options: { num_warps: 4, num_stages: 2 },
    },
  ];
}
