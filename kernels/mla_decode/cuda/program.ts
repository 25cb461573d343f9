/**
 * MLA decode on CUDA: the two launches of a config, their buffers and their parameters.
 *
 * @module
 */
import type { BufferSpec, CudaArg, CudaLaunch, CudaProgram, DeviceInfo } from "../../devices/device.ts";
import type { Implementation } from "../../kernel.ts";
import { cCode } from "../../source_code.ts";
import type { Config } from "../../space.ts";
import { ELEMENT_BYTES, type MlaDecodeProblem, totalTokens } from "../problem.ts";
import common from "./common.cuh" with { type: "text" };
import fewHeads from "./few_heads.cu" with { type: "text" };
import fewHeadsFp8 from "./few_heads_fp8.cu" with { type: "text" };
import fewHeadsFp8Parts from "./few_heads_fp8_parts.cuh" with { type: "text" };
import fewHeadsParts from "./few_heads_parts.cuh" with { type: "text" };
import manyHeads from "./many_heads.cu" with { type: "text" };
import manyHeadsFp8 from "./many_heads_fp8.cu" with { type: "text" };
import manyHeadsFp8Parts from "./many_heads_fp8_parts.cuh" with { type: "text" };
import manyHeadsParts from "./many_heads_parts.cuh" with { type: "text" };
import manyHeadsPtx from "./many_heads_ptx.cuh" with { type: "text" };
import merge from "./merge.cu" with { type: "text" };
import portable from "./portable.cu" with { type: "text" };
import { estimateCudaUs } from "./cost_model.ts";
import { headBlocks, mergeBlocks, type Path, pathOf, workersOf, workspaceBytes } from "./geometry.ts";
import { baseline, space } from "./space.ts";

const SOURCES: Record<Path, string> = {
  few_heads: fewHeads,
  few_heads_fp8: fewHeadsFp8,
  many_heads: manyHeads,
  many_heads_fp8: manyHeadsFp8,
  portable,
};

/** What each source may include; a unit gets what it needs, so that the compile cache knows what it depends on. */
const HEADERS: Record<Path | "merge", Record<string, string>> = {
  few_heads: { "common.cuh": common, "few_heads_parts.cuh": fewHeadsParts },
  few_heads_fp8: { "common.cuh": common, "few_heads_fp8_parts.cuh": fewHeadsFp8Parts },
  many_heads: {
    "common.cuh": common,
    "many_heads_parts.cuh": manyHeadsParts,
    "many_heads_ptx.cuh": manyHeadsPtx,
  },
  many_heads_fp8: {
    "common.cuh": common,
    "many_heads_fp8_parts.cuh": manyHeadsFp8Parts,
    "many_heads_ptx.cuh": manyHeadsPtx,
  },
  portable: { "common.cuh": common },
  merge: { "common.cuh": common },
};

/** MLA decode in CUDA C++. */
export const cudaMlaDecode: Implementation<MlaDecodeProblem> = {
  problemDefaults: { ioType: "bf16" },
  space,
  baseline,
  workspaceBytes,
  program,
  estimateUs: estimateCudaUs,
  sources: () =>
    [
      common,
      fewHeads,
      fewHeadsParts,
      fewHeadsFp8,
      fewHeadsFp8Parts,
      manyHeads,
      manyHeadsParts,
      manyHeadsFp8,
      manyHeadsFp8Parts,
      manyHeadsPtx,
      merge,
      portable,
    ].map(cCode),
};

function program(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): CudaProgram {
  const { heads, latent, batch, ioType } = problem;
  const path = pathOf(config);
  const workers = workersOf(problem, config, device);
  const partials = (workers + batch) * heads;
  const partialBytes = config.partials === "f32" ? 4 : 2;
  const pdl = config.pdl === true;
  const defines = {
    ...problemDefines(problem),
    MLA_PARTIAL_F32: partialBytes === 4 ? 1 : 0,
    MLA_PDL: pdl ? 1 : 0,
    MLA_GRANULE: path.granule,
    MLA_DIRECT: config.direct ? 1 : 0,
    MLA_EARLY: pdl && path.early?.(config) ? 1 : 0,
  };
  const args = [parameters(problem, workers)];
  const buffers: BufferSpec[] = [
    { name: "partial", bytes: partials * latent * partialBytes },
    { name: "partial_lse", bytes: partials * 4 },
    { name: "out", bytes: batch * heads * latent * ELEMENT_BYTES[ioType] },
    { name: "lse", bytes: batch * heads * 4 },
  ];
  const launch = (fields: Omit<CudaLaunch, "args">): CudaLaunch => ({ args, ...fields });
  return {
    backend: "cuda",
    buffers,
    launches: [
      launch({
        label: "stage 1",
        source: SOURCES[config.path as Path],
        headers: HEADERS[config.path as Path],
        entryPoint: path.entryPoint,
        defines: { ...defines, ...path.defines(config) },
        grid: path.grid(headBlocks(problem, config), workers),
        block: [path.threads(config), 1, 1],
        sharedBytes: path.sharedBytes(problem, config),
        pdl: pdl && path.waitsFirst,
      }),
      launch({
        label: "stage 2",
        source: merge,
        headers: HEADERS.merge,
        entryPoint: "mla_merge",
        defines: {
          ...defines,
          MERGE_SLICES: config.merge_slices as number,
          MERGE_THREADS: config.merge_threads as number,
          MERGE_BLOCK_ITEM: config.merge_item === "block" ? 1 : 0,
          ...path.mergeDefines?.(config),
        },
        grid: [mergeBlocks(problem, config, device), 1, 1],
        block: [config.merge_threads as number, 1, 1],
        sharedBytes: 0,
        pdl,
      }),
    ],
    outputs: [
      { name: "out", type: ioType, shape: [batch, heads, latent] },
      { name: "lse", type: "f32", shape: [batch, heads] },
    ],
  };
}

function problemDefines(problem: MlaDecodeProblem): Record<string, number> {
  const { heads, latent, rope, kvType, ioType, logitCap, sinks } = problem;
  return {
    MLA_HEADS: heads,
    MLA_LATENT: latent,
    MLA_ROPE: rope,
    [kvType === "bf16" ? "MLA_KV_BF16" : "MLA_KV_FP8"]: 1,
    [ioType === "f16" ? "MLA_IO_F16" : "MLA_IO_BF16"]: 1,
    MLA_LOGIT_CAP: logitCap > 0 ? 1 : 0,
    MLA_SINKS: sinks ? 1 : 0,
  };
}

/** `MlaParams` of common.cuh, field by field. */
function parameters(problem: MlaDecodeProblem, workers: number): CudaArg {
  const { smScale, kvScale, logitCap, batch, sinks } = problem;
  return {
    struct: [
      ...["q", "cache", "kv_indptr", "kv_indices", "partial", "partial_lse", "out", "lse"].map((buffer) => ({
        buffer,
      })),
      sinks ? { buffer: "sinks" } : { u64: 0n },
      { f32: smScale * kvScale * Math.LOG2E },
      { f32: kvScale },
      { f32: logitCap * Math.LOG2E },
      { i32: batch },
      { i32: workers },
      { i32: totalTokens(problem) },
    ],
  };
}
