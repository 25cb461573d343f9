/**
 * The parameters of MLA decode's implementations, and what each may be.
 *
 * Results files are read by these. Within one version of the format they only grow: a value that was once published stays
 * readable.
 *
 * @module
 */
import type { ParamDomains } from "../param_domain.ts";

/** Served systems sweep these: the format's readers look for them first. */
const COMMON = {
  /** Tokens a tile. */
  BLOCK_N: { min: 8, max: 1024, step: 8 },
  /** Tiles in flight. */
  num_stages: { min: 1, max: 64 },
  /** Splits of the longest request at most. */
  max_kv_splits: { min: 1, max: 65_536 },
} as const satisfies ParamDomains;

/** What Triton's compiler and both stages of a Triton kernel take. */
const TRITON = {
  ...COMMON,
  /** Query heads a block. */
  BLOCK_H: { min: 4, max: 128, step: 4 },
  /** Warps a block of stage 1. */
  num_warps: { min: 1, max: 32 },
  /** Warps a block of stage 2. */
  merge_warps: { min: 1, max: 32 },
} as const satisfies ParamDomains;

/** Of the kernels that servers have, by backend. */
export const INSTALLED_PARAMS = { triton: TRITON } as const satisfies Readonly<Record<string, ParamDomains>>;

/** By backend. */
export const MLA_DECODE_PARAMS = {
  webgpu: {
    ...COMMON,
    /** Heads that share a decoded tile. */
    BLOCK_H: { min: 4, max: 128, step: 4 },
    /** Tiles that workgroup storage has room for. */
    buffers: { min: 1, max: 8 },
    /** Threads a workgroup of stage 1. */
    threads: { min: 8, max: 1024, step: 8 },
    /** Heads × tokens a thread of QK. */
    qk_tile: { shape: "AxB" },
    /** Rounds in which QK's slices are added. */
    slice_rounds: { min: 1, max: 8 },
    /** Quads (4 widths) a thread of PV. */
    pv_quads: { min: 1, max: 8 },
    /** The type of products and sums within a tile. */
    ACC: { oneOf: ["f32", "f16"] },
    /** Quads × segments of splits of stage 2. */
    merge_shape: { shape: "AxB" },
    /** How requests are cut: as served, or in whole waves. */
    schedule: { oneOf: ["served", "wave"] },
  },
  cuda: {
    ...COMMON,
    /** Stage 1's kernel. */
    path: { oneOf: ["few_heads", "few_heads_fp8", "many_heads", "many_heads_fp8", "portable"] },
    /** Query heads a block. */
    BLOCK_H: { min: 4, max: 128, step: 4 },
    /** Computing warpgroups a block. */
    warpgroups: { min: 1, max: 8 },
    /** Blocks that share a multiprocessor. */
    blocks_per_sm: { min: 1, max: 32 },
    /** Half blocks of converted values that may be in use. */
    operand_buffers: { min: 1, max: 8 },
    /** Whether rows go to L2 ahead. */
    l2_prefetch: { oneOf: [true, false] },
    /** Blocks that bring rows to each other; 1, as where it is absent, for each block its own. */
    cluster_size: { min: 1, max: 16 },
    /** Whether a request that one block has whole skips stage 2. */
    direct: { oneOf: [true, false] },
    /** How partial outputs are stored. */
    partials: { oneOf: ["f16", "bf16", "f32"] },
    /** Whether stage 2 starts beside stage 1's end. */
    pdl: { oneOf: [true, false] },
    /** Pieces of the widths that stage 2 merges apart. */
    merge_slices: { min: 1, max: 64 },
    /** Threads a block of stage 2. */
    merge_threads: { min: 32, max: 1024, step: 32 },
    /** What merges one piece of one head. */
    merge_item: { oneOf: ["warp", "block"] },
  },
  triton: {
    ...TRITON,
    /** `served`: the kernel that servers launch untuned, which is the baseline. */
    path: { oneOf: ["served"] },
    /** Parts of the latent width that are loaded, converted and multiplied apart. */
    pieces: { min: 1, max: 16 },
    /** Parts of the latent width that each are one warp's; 1, as where it is absent, for warps that share all of it. */
    groups: { min: 1, max: 32 },
    /** Registers a thread at most; 0 for no bound. */
    max_registers: { min: 0, max: 255 },
    /** What values are multiplied with, where the class of accuracy leaves the choice. */
    probabilities: { oneOf: ["16bit", "e4m3"] },
    /** How partial outputs are stored. */
    partials: { oneOf: ["f16", "bf16", "f32"] },
    /** Whether stage 2 starts beside stage 1's end. */
    pdl: { oneOf: [true, false] },
    /** Splits that a block of stage 2 merges at a time. */
    merge_splits: { min: 1, max: 1024 },
    /** Latent widths that a block of stage 2 merges. */
    merge_widths: { min: 16, max: 1024, step: 16 },
  },
} as const satisfies Readonly<Record<string, ParamDomains>>;
