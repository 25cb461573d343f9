/**
 * C structs as bytes: kernel arguments, launch configurations and SM resources, at the offsets that a C compiler gives
 * them on a 64-bit little-endian machine. The offsets are checked against cuda.h in layouts_test.ts.
 *
 * @module
 */
import type { CudaArg } from "../device.ts";

/**
 * Memory whose address may be written into another struct.
 *
 * V8 keeps small typed arrays on its own heap and may move them; one over an explicit ArrayBuffer stays where it is.
 */
export function stableBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** The address of `bytes`, which must outlive every use of it. Needs the unscoped FFI permission. */
export function addressOf(bytes: ArrayBufferView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

/** Text with a closing zero byte. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  const encoded = new TextEncoder().encode(text);
  const bytes = stableBytes(encoded.length + 1);
  bytes.set(encoded);
  return bytes;
}

/** Text up to the first zero byte. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** A C array of pointers to `elements`, which must outlive it. */
export function pointerArray(elements: readonly ArrayBufferView<ArrayBuffer>[]): BigUint64Array<ArrayBuffer> {
  const pointers = new BigUint64Array(new ArrayBuffer(8 * elements.length));
  elements.forEach((element, i) => pointers[i] = addressOf(element));
  return pointers;
}

/** Bytes that a value takes, and the power of two that divides its address. */
export interface Extent {
  readonly size: number;
  readonly align: number;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** The size and alignment of an argument. An empty struct takes one byte, as in C++. */
export function extent(arg: CudaArg): Extent {
  if ("buffer" in arg || "u64" in arg) return { size: 8, align: 8 };
  if ("f32" in arg || "i32" in arg) return { size: 4, align: 4 };
  let size = 0;
  let align = 1;
  for (const field of arg.struct) {
    const inner = extent(field);
    size = roundUp(size, inner.align) + inner.size;
    align = Math.max(align, inner.align);
  }
  return { size: roundUp(Math.max(size, 1), align), align };
}

/**
 * Writes an argument at `offset`.
 *
 * @param address Gives the device address of a buffer by name.
 * @throws {RangeError} Where an integer does not fit its type.
 */
function write(view: DataView, offset: number, arg: CudaArg, address: (name: string) => bigint): void {
  if ("buffer" in arg) view.setBigUint64(offset, address(arg.buffer), true);
  else if ("u64" in arg) {
    if (arg.u64 < 0n || arg.u64 >= 1n << 64n) {
      throw new RangeError(`Cannot pass ${arg.u64} as a u64 argument: expected 0 to 2^64 - 1`);
    }
    view.setBigUint64(offset, arg.u64, true);
  } else if ("f32" in arg) view.setFloat32(offset, arg.f32, true);
  else if ("i32" in arg) {
    // Unsigned values keep their bits, so that one kind serves int and unsigned int.
    if (!Number.isInteger(arg.i32) || arg.i32 < -(2 ** 31) || arg.i32 >= 2 ** 32) {
      throw new RangeError(`Cannot pass ${arg.i32} as an i32 argument: expected an integer of 32 bits`);
    }
    view.setInt32(offset, arg.i32 | 0, true);
  } else {
    let at = offset;
    for (const field of arg.struct) {
      const { size, align } = extent(field);
      at = roundUp(at, align);
      write(view, at, field, address);
      at += size;
    }
  }
}

/** Kernel arguments in memory, and the array of pointers to them that a launch takes. */
export interface PackedArgs {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each argument starts in `bytes`. */
  readonly offsets: readonly number[];
  /** `void *kernelParams[]`. */
  readonly pointers: BigUint64Array<ArrayBuffer>;
}

/** Lays out kernel arguments. The result must outlive the launch call, not the kernel: the driver copies it. */
export function packArgs(args: readonly CudaArg[], address: (name: string) => bigint): PackedArgs {
  const offsets: number[] = [];
  let size = 0;
  for (const arg of args) {
    const start = roundUp(size, 16); // More than any argument's own alignment.
    offsets.push(start);
    size = start + extent(arg).size;
  }
  const bytes = stableBytes(Math.max(size, 1));
  const view = new DataView(bytes.buffer);
  args.forEach((arg, i) => write(view, offsets[i], arg, address));
  const base = addressOf(bytes);
  const pointers = new BigUint64Array(new ArrayBuffer(8 * Math.max(args.length, 1)));
  offsets.forEach((offset, i) => pointers[i] = base + BigInt(offset));
  return { bytes, offsets, pointers };
}

/** Sizes and offsets of cuda.h's structs, in bytes. */
export const LAYOUT = {
  launchConfig: { size: 56, sharedMemBytes: 24, hStream: 32, attrs: 40, numAttrs: 48 },
  launchAttribute: { size: 72, value: 8 },
  devResource: { size: 144, smCount: 96, minSmPartitionSize: 100, smCoscheduledAlignment: 104 },
} as const;

/** CUlaunchAttributeID. */
const CLUSTER_DIMENSION = 4;
const PROGRAMMATIC_STREAM_SERIALIZATION = 6;

/** The shape of one launch. */
export interface LaunchShape {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly cluster?: readonly [number, number, number];
  /** Dynamic shared memory, bytes a block. */
  readonly sharedBytes: number;
  readonly pdl: boolean;
}

/** A CUlaunchConfig, with the attributes that it points to. */
export interface PackedConfig {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly attributes: Uint8Array<ArrayBuffer>;
}

/** Lays out a CUlaunchConfig for a stream. */
export function packLaunchConfig(shape: LaunchShape, stream: bigint): PackedConfig {
  const { launchConfig: at, launchAttribute } = LAYOUT;
  const count = Number(shape.cluster !== undefined) + Number(shape.pdl);
  const attributes = stableBytes(Math.max(count, 1) * launchAttribute.size);
  const values = new DataView(attributes.buffer);
  let next = 0;
  if (shape.cluster) {
    values.setUint32(next, CLUSTER_DIMENSION, true);
    shape.cluster.forEach((width, i) => values.setUint32(next + launchAttribute.value + 4 * i, width, true));
    next += launchAttribute.size;
  }
  if (shape.pdl) {
    values.setUint32(next, PROGRAMMATIC_STREAM_SERIALIZATION, true);
    values.setInt32(next + launchAttribute.value, 1, true);
  }
  const bytes = stableBytes(at.size);
  const view = new DataView(bytes.buffer);
  [...shape.grid, ...shape.block].forEach((width, i) => view.setUint32(4 * i, width, true));
  view.setUint32(at.sharedMemBytes, shape.sharedBytes, true);
  view.setBigUint64(at.hStream, stream, true);
  view.setBigUint64(at.attrs, count > 0 ? addressOf(attributes) : 0n, true);
  view.setUint32(at.numAttrs, count, true);
  return { bytes, attributes };
}
