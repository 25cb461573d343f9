/**
 * Sizes of tensors.
 *
 * @module
 */
import type { ElementType, HostTensor } from "./device.ts";

const BYTES: Readonly<Record<ElementType, number>> = { f32: 4, u32: 4, i32: 4, f16: 2, bf16: 2, e4m3: 1 };

/** Elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes that a tensor takes on a device. */
export function tensorBytes({ type, shape }: Pick<HostTensor, "type" | "shape">): number {
  return elements(shape) * BYTES[type];
}
