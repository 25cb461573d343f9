/**
 * What a CUDA device reaches at the most: the rate at which it reads its memory, and at which it multiplies matrices.
 *
 * Both are measured, not looked up: a card's own clocks and power limit are in them (Williams, Waterman & Patterson,
 * "Roofline", 2009).
 *
 * @module
 */
import type { CudaProgram, DeviceInfo, HostTensor, OpenDevice } from "../devices/device.ts";
import type { Work } from "../kernel.ts";
import matrixSource from "./matrix.cu" with { type: "text" };
import readSource from "./read.cu" with { type: "text" };

/** Bytes that the read goes over: far more than any cache holds. */
const READ_BYTES = 2 ** 32;
/** Steps of four k16 products that each warpgroup multiplies: about a millisecond. */
const STEPS = 1500;
const FLOPS_PER_STEP = 4 * 2 * 64 * 256 * 16;
const WARPGROUPS = 2;
const ACCUMULATORS = Array.from({ length: 128 }, (_, i) => i);
const HOPPER = 90;

/** The two rates. */
export interface Roofline {
  /** Bytes a second that all SMs together read from device memory. */
  readonly bytesPerSecond: number;
  /** f16 operations a second with f32 sums, a multiply-add as two; absent where kvtune has no kernel for the card. */
  readonly flops?: number;
}

/** The least time in which a device can do some work, in µs: the larger of the times of its bytes and its operations. */
export function floorUs({ bytes, flops }: Work, roofline: Roofline): number {
  return 1e6 * Math.max(bytes / roofline.bytesPerSecond, flops / (roofline.flops ?? Infinity));
}

/**
 * Measures both rates in about a second.
 *
 * @param device A CUDA device with 5 GB of free memory.
 */
export async function measureRoofline(device: OpenDevice): Promise<Roofline> {
  const data: HostTensor = {
    name: "data",
    type: "u32",
    shape: [READ_BYTES / 4],
    data: Uint32Array.from({ length: 1 << 18 }, (_, i) => Math.imul(i, 2654435761)),
  };
  const session = await device.load([data]);
  try {
    const built = [];
    for (const program of rooflinePrograms(device.info)) built.push(await session.build(program));
    const samples = await session.time(built, { samples: 9, sampleUs: 5000, coldCache: true });
    const [read, matrix] = samples.map((us) => Math.min(...us) / 1e6);
    const flops = WARPGROUPS * device.info.smCount * STEPS * FLOPS_PER_STEP / matrix;
    return { bytesPerSecond: READ_BYTES / read, ...(matrix !== undefined && { flops }) };
  } finally {
    session.destroy();
  }
}

/** The programs that are timed: the read, and the products where there is a kernel for the card. */
export function rooflinePrograms({ smCount, limits }: DeviceInfo): CudaProgram[] {
  return [readProgram(smCount), ...(limits.computeCapability === HOPPER ? [matrixProgram(smCount)] : [])];
}

function readProgram(smCount: number): CudaProgram {
  return {
    backend: "cuda",
    buffers: [{ name: "out", bytes: 128 }],
    launches: [{
      label: "read",
      source: readSource,
      headers: {},
      entryPoint: "read_all",
      defines: {},
      grid: [2 * smCount, 1, 1],
      block: [1024, 1, 1],
      sharedBytes: 0,
      pdl: false,
      args: [{ struct: [{ buffer: "data" }, { buffer: "out" }, { u64: BigInt(READ_BYTES / 16) }] }],
    }],
    outputs: [],
  };
}

function matrixProgram(smCount: number): CudaProgram {
  return {
    backend: "cuda",
    buffers: [{ name: "sums", bytes: 1024 }],
    launches: [{
      label: "multiply",
      source: matrixSource
        .replace("ACCUMULATORS", `"${ACCUMULATORS.map((i) => `%${i}`).join(", ")}"`)
        .replace("ACCUMULATOR_OPERANDS", ACCUMULATORS.map((i) => `"+f"(d[${i}])`).join(", ")),
      headers: {},
      entryPoint: "multiply_tiles",
      defines: {},
      grid: [smCount, 1, 1],
      block: [128 * WARPGROUPS, 1, 1],
      sharedBytes: (WARPGROUPS * 64 + 256) * 64 * 2,
      pdl: false,
      args: [{ struct: [{ buffer: "sums" }, { i32: STEPS }] }],
    }],
    outputs: [],
  };
}
