/**
 * How a config divides one workgroup's work among its threads: every number that stage 1 and stage 2 are generated with.
 *
 * @module
 */
import type { Config } from "../../space.ts";
import { ELEMENT_BYTES, type MlaDecodeProblem } from "../problem.ts";

/** Numbers that the WGSL templates use; the templates' heads explain the words. */
export interface Geometry {
  readonly BLOCK_N: number;
  readonly BLOCK_H: number;
  readonly NUM_STAGES: number;
  readonly BUFFERS: number;
  readonly THREADS: number;
  /** Quads of a whole row, and of its latent part. */
  readonly QUADS: number;
  readonly V_QUADS: number;
  /** 16-byte vectors of a cache row, and of padding after it in workgroup storage. */
  readonly ROW_VECS: number;
  readonly PAD_VECS: number;
  /** Vectors of a tile that a thread loads. */
  readonly LOADS: number;
  /** QK: heads and tokens a thread, groups of threads over both, and slices of the widths. */
  readonly QK_H: number;
  readonly QK_T: number;
  readonly HEAD_GROUPS: number;
  readonly TOKEN_GROUPS: number;
  readonly SLICES: number;
  /** Rounds in which slices leave their sums in workgroup storage, and sums that it has room for at once. */
  readonly SLICE_ROUNDS: number;
  readonly SUMS: number;
  /** Softmax: threads a head, and tokens a thread. */
  readonly OWNERS: number;
  readonly TOKENS_OWNED: number;
  /** PV: heads and quads a thread, groups of threads over the heads, distance of a thread's quads. */
  readonly PV_H: number;
  readonly PV_W: number;
  readonly PV_GROUPS: number;
  readonly PV_STRIDE: number;
  /** Stage 2: quads and segments a workgroup. */
  readonly MERGE_X: number;
  readonly MERGE_S: number;
  readonly MERGE_HALF: number;
  readonly accF16: boolean;
}

/**
 * Derives the numbers of a config. They are whole only where the config keeps the constraint "threads divide the work".
 */
export function geometry({ latent, rope, kvType }: MlaDecodeProblem, config: Config): Geometry {
  const number = (name: string) => config[name] as number;
  const [BLOCK_N, BLOCK_H, THREADS, PV_W] = ["BLOCK_N", "BLOCK_H", "threads", "pv_quads"].map(number);
  const [QK_H, QK_T] = String(config.qk_tile).split("x").map(Number);
  const [MERGE_X, MERGE_S] = String(config.merge_shape).split("x").map(Number);
  const elementBytes = ELEMENT_BYTES[kvType];
  const V_QUADS = latent / 4;
  const ROW_VECS = (latent + rope) * elementBytes / 16;
  const TOKEN_GROUPS = BLOCK_N / QK_T;
  const HEAD_GROUPS = BLOCK_H / QK_H;
  const SLICES = THREADS / (TOKEN_GROUPS * HEAD_GROUPS);
  const SLICE_ROUNDS = number("slice_rounds");
  const OWNERS = Math.max(1, Math.min(Math.floor(THREADS / BLOCK_H), BLOCK_N / 4));
  const PV_STRIDE = V_QUADS / PV_W;
  const PV_GROUPS = THREADS / PV_STRIDE;
  return {
    BLOCK_N,
    BLOCK_H,
    NUM_STAGES: number("num_stages"),
    BUFFERS: number("buffers"),
    THREADS,
    QUADS: (latent + rope) / 4,
    V_QUADS,
    ROW_VECS,
    PAD_VECS: padVecs(ROW_VECS, TOKEN_GROUPS, elementBytes),
    LOADS: Math.ceil(BLOCK_N * ROW_VECS / THREADS),
    QK_H,
    QK_T,
    HEAD_GROUPS,
    TOKEN_GROUPS,
    SLICES,
    SLICE_ROUNDS,
    SUMS: SLICES / SLICE_ROUNDS,
    OWNERS,
    TOKENS_OWNED: BLOCK_N / OWNERS,
    PV_H: BLOCK_H / PV_GROUPS,
    PV_W,
    PV_GROUPS,
    PV_STRIDE,
    MERGE_X,
    MERGE_S,
    MERGE_HALF: MERGE_S / 2,
    accF16: config.ACC === "f16",
  };
}

/**
 * Padding that keeps QK's reads apart: 32 threads read TOKEN_GROUPS rows and, of each, 32 / TOKEN_GROUPS quads at once.
 * Over 32 banks they do not collide where the row stride is an odd multiple of the words read of one row. (Rows of 145
 * words, an odd number, would do for 32 rows at once, but 16-byte stores want a multiple of 4.)
 */
function padVecs(rowVecs: number, tokenGroups: number, elementBytes: number): number {
  const unit = Math.min(16, Math.max(4, (32 / tokenGroups) * elementBytes));
  for (let pad = 0; pad < 4; pad++) {
    const strideWords = 4 * (rowVecs + pad);
    if (strideWords % unit === 0 && (strideWords / unit) % 2 === 1) return pad;
  }
  return 1;
}

/** Bytes of workgroup storage that stage 1 declares. */
export function stage1StorageBytes(g: Geometry): number {
  const tile = g.BUFFERS * g.BLOCK_N * (g.ROW_VECS + g.PAD_VECS) * 16;
  const scores = g.SUMS * (g.BLOCK_N * g.HEAD_GROUPS * (g.QK_H + 1) + 8) * 4;
  const weights = g.BLOCK_H * g.BLOCK_N * (g.accF16 ? 2 : 4);
  return tile + scores + weights + (g.OWNERS + 1) * g.BLOCK_H * 4 + 64; // 64: rounding of each variable to 16
}

/** Registers that a thread of stage 1 cannot do without: outputs, scores, rows in flight, and some for addresses. */
export function stage1Registers(g: Geometry): number {
  const outputs = 4 * g.PV_H * g.PV_W * (g.accF16 ? 1.5 : 1);
  const inFlight = g.LOADS * (4 * (g.NUM_STAGES - 1) + 1);
  const scores = g.QK_H * g.QK_T + 4 * g.QK_T + 4;
  return outputs + inFlight + Math.max(scores, 16 * g.PV_W) + 24;
}

/**
 * Loop iterations that one thread of stage 1 makes for a split of `chunk` tokens, all loops together (an upper bound:
 * compilers may unroll some).
 */
export function stage1Iterations(g: Geometry, chunk: number): number {
  const tiles = Math.ceil(chunk / g.BLOCK_N);
  return tiles * (1 + Math.ceil(g.QUADS / g.SLICES) + g.SUMS + g.BLOCK_N / 4 + (g.NUM_STAGES === 1 ? g.LOADS : 0));
}
