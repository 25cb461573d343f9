/**
 * A partition of a device: a green context, whose kernels run on some of the SMs only.
 *
 * Memory, its bandwidth and the L2 cache stay shared with the rest of the device, as when a server splits a GPU between
 * prefill and decode.
 *
 * @module
 */
import type { DeviceProperties, Driver } from "./driver.ts";
import { LAYOUT, stableBytes } from "./layouts.ts";

const RESOURCE_TYPE_SM = 1;
const DEFAULT_STREAM = 1;
const STREAM_NON_BLOCKING = 1;
/** Finer steps, at the cost of SMs that no longer share a cluster's hardware. */
const IGNORE_COSCHEDULING = 1;
const SINCE = "12.4";

/** What a device's SMs can be cut into. */
export interface SmResource {
  readonly smCount: number;
  /** SMs of a partition, at least. */
  readonly smallest: number;
  /** SMs that are guaranteed to share a cluster's hardware; partitions grow by this many. */
  readonly step: number;
}

function describe(resource: Uint8Array<ArrayBuffer>): SmResource {
  const view = new DataView(resource.buffer);
  const at = LAYOUT.devResource;
  return {
    smCount: view.getUint32(at.smCount, true),
    smallest: view.getUint32(at.minSmPartitionSize, true),
    step: view.getUint32(at.smCoscheduledAlignment, true),
  };
}

/** The SMs of a device, as the driver hands them out. */
function deviceResource(driver: Driver, device: number): Uint8Array<ArrayBuffer> {
  const get = driver.newer(driver.symbols.cuDeviceGetDevResource, "partition a device", SINCE);
  const resource = stableBytes(LAYOUT.devResource.size);
  driver.check(get(device, resource, RESOURCE_TYPE_SM), "ask for a device's SMs");
  return resource;
}

/** What a device's SMs can be cut into, or undefined where the driver has no green contexts. */
export function smResource(driver: Driver, index: number): SmResource | undefined {
  const get = driver.symbols.cuDeviceGetDevResource;
  if (!get) return undefined;
  const resource = stableBytes(LAYOUT.devResource.size);
  return get(driver.device(index), resource, RESOURCE_TYPE_SM) === 0 ? describe(resource) : undefined;
}

/** A green context, current on this thread from its creation to its destruction. */
export class Partition {
  readonly #driver: Driver;
  readonly #handle: bigint;
  readonly smCount: number;
  /** True where the partition's SMs still share clusters' hardware. */
  readonly coscheduled: boolean;

  /**
   * Cuts `smCount` SMs out of a device whose primary context is current.
   *
   * @throws {RangeError} Where the device has no partition of exactly this size, with those that it has.
   * @throws {CudaError} Where the driver is older than CUDA 12.4, or refuses.
   */
  constructor(driver: Driver, properties: DeviceProperties, device: number, smCount: number) {
    const { symbols, out } = driver;
    this.#driver = driver;
    const whole = deviceResource(driver, device);
    const part = stableBytes(LAYOUT.devResource.size);
    /** SMs of the smallest group of at least `least` SMs, or 0 where there is none. */
    const split = (least: number, flags: number): number => {
      const doing = `cut ${least} SMs out of ${properties.name}`;
      const cut = driver.newer(symbols.cuDevSmResourceSplitByCount, doing, SINCE);
      out.i32[0] = 1; // Groups wanted.
      const result = cut(part, out.i32, whole, null, flags, least);
      return result === 0 && out.i32[0] === 1 ? describe(part).smCount : 0;
    };
    const possible = Number.isInteger(smCount) && smCount >= 1 && smCount < properties.smCount;
    this.coscheduled = possible && split(smCount, 0) === smCount;
    if (!this.coscheduled && !(possible && split(smCount, IGNORE_COSCHEDULING) === smCount)) {
      const range = (least: number, step: number) =>
        `${least} to ${Math.floor((properties.smCount - 1) / step) * step} in steps of ${step}`;
      const { smallest, step } = describe(whole);
      const fine = split(1, IGNORE_COSCHEDULING);
      const finer = fine > 0 && fine < step ? `, or without clusters ${range(fine, fine)}` : "";
      throw new RangeError(
        `Cannot cut ${smCount} SMs out of ${properties.name}: expected ${properties.smCount}, ` +
          `${range(smallest, step)}${finer}`,
      );
    }
    this.smCount = smCount;
    const doing = `make a partition of ${smCount} SMs`;
    const generate = driver.newer(symbols.cuDevResourceGenerateDesc, doing, SINCE);
    driver.check(generate(out.u64, part, 1), doing);
    const create = driver.newer(symbols.cuGreenCtxCreate, doing, SINCE);
    driver.check(create(out.u64, out.u64[0], device, DEFAULT_STREAM), doing);
    this.#handle = out.u64[0];
    const convert = driver.newer(symbols.cuCtxFromGreenCtx, doing, SINCE);
    driver.check(convert(out.u64, this.#handle), doing);
    driver.check(symbols.cuCtxSetCurrent(out.u64[0]), doing);
  }

  /** A stream whose kernels run on the partition's SMs. */
  createStream(): bigint {
    const doing = "create a stream of a partition";
    const create = this.#driver.newer(this.#driver.symbols.cuGreenCtxStreamCreate, doing, SINCE);
    this.#driver.check(create(this.#driver.out.u64, this.#handle, STREAM_NON_BLOCKING, 0), doing);
    return this.#driver.out.u64[0];
  }

  /** Streams must be destroyed before. */
  destroy(): void {
    const { cuGreenCtxDestroy } = this.#driver.symbols;
    this.#driver.release(() => cuGreenCtxDestroy?.(this.#handle) ?? 0, "destroy a partition");
  }
}
