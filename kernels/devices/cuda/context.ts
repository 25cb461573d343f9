/**
 * One device in use: its context, one stream, memory, kernels, events and graphs.
 *
 * Everything runs on one stream and is started from the main thread, where the context is current. Only waiting is
 * asynchronous, by asking the driver whether the stream is done.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { DeviceProperties, Driver } from "./driver.ts";
import { Partition } from "./green_context.ts";
import { cString, type PackedArgs, type PackedConfig } from "./layouts.ts";

const STREAM_NON_BLOCKING = 1;
const CAPTURE_MODE_THREAD_LOCAL = 1;

/** CUfunction_attribute, those that we use. */
const FUNCTION = {
  threadsPerBlock: 0,
  sharedBytes: 1,
  localBytes: 3,
  registers: 4,
  dynamicSharedBytes: 8,
  nonPortableClusterSize: 14,
} as const;

/** Asking again costs a few µs of the host; after this long, sleep between questions. */
const SPIN_MS = 3;

/** What the driver says of a kernel. */
export interface KernelAttributes {
  /** Threads a block at most, as its registers allow. */
  readonly threadsPerBlock: number;
  /** Static shared memory, bytes a block. */
  readonly sharedBytes: number;
  /** Stack and spills, bytes a thread. */
  readonly localBytes: number;
  readonly registers: number;
}

/** A graph that can be launched. */
export interface Graph {
  launch(): void;
  destroy(): void;
}

/** A device in use. */
export class Context {
  /** When a timing last ended, in ms of `performance.now()`. */
  timedAt = -Infinity;
  readonly #device: number;
  readonly #partition: Partition | undefined;
  readonly stream: bigint;

  /**
   * Takes a device, or a partition of `smCount` of its SMs.
   *
   * @throws {RangeError} Where the device cannot be cut to `smCount`, with what it can be cut to.
   * @throws {CudaError} Where the driver refuses.
   */
  constructor(readonly driver: Driver, readonly properties: DeviceProperties, smCount?: number) {
    const { symbols, out } = driver;
    this.#device = driver.device(properties.index);
    driver.check(symbols.cuDevicePrimaryCtxRetain(out.u64, this.#device), `use ${properties.name}`);
    driver.check(symbols.cuCtxSetCurrent(out.u64[0]), `use ${properties.name}`);
    try {
      if (smCount !== undefined && smCount !== properties.smCount) {
        this.#partition = new Partition(driver, properties, this.#device, smCount);
        this.stream = this.#partition.createStream();
      } else {
        driver.check(symbols.cuStreamCreate(out.u64, STREAM_NON_BLOCKING), "create a stream");
        this.stream = out.u64[0];
      }
    } catch (error) {
      this.#partition?.destroy();
      driver.release(() => symbols.cuDevicePrimaryCtxRelease_v2(this.#device), `give back ${properties.name}`);
      throw error;
    }
  }

  /** SMs that kernels run on. */
  get smCount(): number {
    return this.#partition?.smCount ?? this.properties.smCount;
  }

  /** True where only a part of the device is used. */
  get isPartition(): boolean {
    return this.#partition !== undefined;
  }

  /** False where the partition gave up co-scheduling to be of this size: clusters may not fit into it. */
  get hasClusters(): boolean {
    return this.properties.clusterLaunch === 1 && (this.#partition?.coscheduled ?? true);
  }

  /** Gives the device back. What was allocated must be freed before. */
  close(): void {
    const { symbols } = this.driver;
    this.driver.release(() => symbols.cuStreamDestroy_v2(this.stream), "destroy a stream");
    this.driver.release(() => symbols.cuCtxSetCurrent(0n), `give back ${this.properties.name}`);
    this.#partition?.destroy();
    const release = () => symbols.cuDevicePrimaryCtxRelease_v2(this.#device);
    this.driver.release(release, `give back ${this.properties.name}`);
  }

  /** Bytes of device memory that are free now. */
  freeBytes(): number {
    const { u64 } = this.driver.out;
    const result = this.driver.symbols.cuMemGetInfo_v2(u64.subarray(0, 1), u64.subarray(1));
    this.driver.check(result, "ask for free memory");
    return Number(u64[0]);
  }

  /** The address of new memory, aligned to 256 bytes. `what` is it for, in errors. */
  allocate(bytes: number, what: string): bigint {
    const { symbols, out } = this.driver;
    this.driver.check(
      symbols.cuMemAlloc_v2(out.u64, BigInt(Math.max(bytes, 1))),
      `allocate ${bytes} bytes for ${what}`,
    );
    return out.u64[0];
  }

  free(address: bigint): void {
    this.driver.release(() => this.driver.symbols.cuMemFree_v2(address), "free memory");
  }

  /** Copies from the host. `data` may be reused once the stream has gone past. */
  upload(address: bigint, data: Uint8Array<ArrayBuffer>, what: string): void {
    if (data.length === 0) return;
    const result = this.driver.symbols.cuMemcpyHtoDAsync_v2(address, data, BigInt(data.length), this.stream);
    this.driver.check(result, `copy ${data.length} bytes to ${what}`);
  }

  /** Copies to the host. `data` is good once the stream has gone past. */
  download(data: Uint8Array<ArrayBuffer>, address: bigint, what: string): void {
    if (data.length === 0) return;
    const result = this.driver.symbols.cuMemcpyDtoHAsync_v2(data, address, BigInt(data.length), this.stream);
    this.driver.check(result, `copy ${data.length} bytes from ${what}`);
  }

  copy(to: bigint, from: bigint, bytes: number, what: string): void {
    if (bytes === 0) return;
    const result = this.driver.symbols.cuMemcpyDtoDAsync_v2(to, from, BigInt(bytes), this.stream);
    this.driver.check(result, `copy ${bytes} bytes to ${what}`);
  }

  fill(address: bigint, byte: number, bytes: number, what: string): void {
    if (bytes === 0) return;
    const result = this.driver.symbols.cuMemsetD8Async(address, byte, BigInt(bytes), this.stream);
    this.driver.check(result, `fill ${bytes} bytes of ${what}`);
  }

  /** Loads machine code. */
  loadLibrary(cubin: Uint8Array<ArrayBuffer>, what: string): bigint {
    const { symbols, out } = this.driver;
    this.driver.check(symbols.cuLibraryLoadData(out.u64, cubin, null, null, 0, null, null, 0), `load ${what}`);
    return out.u64[0];
  }

  unloadLibrary(library: bigint): void {
    this.driver.release(() => this.driver.symbols.cuLibraryUnload(library), "unload code");
  }

  /** A kernel of a library. @throws {CudaError} Where it has no `extern "C"` kernel of this name. */
  kernel(library: bigint, name: string): bigint {
    const { symbols, out } = this.driver;
    this.driver.check(symbols.cuLibraryGetKernel(out.u64, library, cString(name)), `find the kernel ${name}`);
    return out.u64[0];
  }

  kernelAttributes(kernel: bigint, name: string): KernelAttributes {
    const { symbols, out } = this.driver;
    const get = (attribute: number) => {
      const result = symbols.cuKernelGetAttribute(out.i32, attribute, kernel, this.#device);
      this.driver.check(result, `describe the kernel ${name}`);
      return out.i32[0];
    };
    return {
      threadsPerBlock: get(FUNCTION.threadsPerBlock),
      sharedBytes: get(FUNCTION.sharedBytes),
      localBytes: get(FUNCTION.localBytes),
      registers: get(FUNCTION.registers),
    };
  }

  /** Lets a kernel use more dynamic shared memory than the 48 KiB that need no asking. */
  allowSharedBytes(kernel: bigint, bytes: number, name: string): void {
    const set = this.driver.symbols.cuKernelSetAttribute(FUNCTION.dynamicSharedBytes, bytes, kernel, this.#device);
    this.driver.check(set, `give ${name} ${bytes} bytes of dynamic shared memory a block`);
  }

  /** Lets a kernel use clusters of more than the 8 blocks that every device has. */
  allowLargeClusters(kernel: bigint, name: string): void {
    const set = this.driver.symbols.cuKernelSetAttribute(FUNCTION.nonPortableClusterSize, 1, kernel, this.#device);
    this.driver.check(set, `give ${name} clusters of more than 8 blocks`);
  }

  launch(kernel: bigint, config: PackedConfig, args: PackedArgs, name: string): void {
    const result = this.driver.symbols.cuLaunchKernelEx(config.bytes, kernel, args.pointers, null);
    this.driver.check(result, `launch ${name}`);
  }

  createEvent(): bigint {
    this.driver.check(this.driver.symbols.cuEventCreate(this.driver.out.u64, 0), "create an event");
    return this.driver.out.u64[0];
  }

  destroyEvent(event: bigint): void {
    this.driver.release(() => this.driver.symbols.cuEventDestroy_v2(event), "destroy an event");
  }

  record(event: bigint): void {
    this.driver.check(this.driver.symbols.cuEventRecord(event, this.stream), "record an event");
  }

  /** µs between two events that have both passed. */
  elapsedUs(start: bigint, end: bigint): number {
    this.driver.check(this.driver.symbols.cuEventElapsedTime(this.driver.out.f32, start, end), "read an event");
    return this.driver.out.f32[0] * 1000;
  }

  /**
   * Captures what `enqueue` puts on the stream, without running it.
   *
   * Programmatic dependences between launches become programmatic edges of the graph.
   */
  capture(enqueue: () => void, what: string): Graph {
    const { driver, stream } = this;
    const { symbols, out } = driver;
    driver.check(symbols.cuStreamBeginCapture_v2(stream, CAPTURE_MODE_THREAD_LOCAL), `capture ${what}`);
    try {
      enqueue();
    } catch (error) { // The stream must leave capture whatever happens; the first error is the one to report.
      if (symbols.cuStreamEndCapture(stream, out.u64) === 0) symbols.cuGraphDestroy(out.u64[0]);
      throw error;
    }
    driver.check(symbols.cuStreamEndCapture(stream, out.u64), `capture ${what}`);
    const graph = out.u64[0];
    try {
      driver.check(symbols.cuGraphInstantiateWithFlags(out.u64, graph, 0n), `instantiate the graph of ${what}`);
    } finally {
      driver.release(() => symbols.cuGraphDestroy(graph), "destroy a graph");
    }
    const executable = out.u64[0];
    return {
      launch: () => driver.check(symbols.cuGraphLaunch(executable, stream), `launch the graph of ${what}`),
      destroy: () => driver.release(() => symbols.cuGraphExecDestroy(executable), "destroy a graph"),
    };
  }

  /** Resolves once all that is on the stream has run. @throws {StickyCudaError} With the fault of a kernel. */
  settled(doing: string): Promise<void> {
    return this.#until(() => this.driver.isDone(this.driver.symbols.cuStreamQuery(this.stream), doing));
  }

  /** Resolves once the stream has passed `event`. */
  passed(event: bigint, doing: string): Promise<void> {
    return this.#until(() => this.driver.isDone(this.driver.symbols.cuEventQuery(event), doing));
  }

  async #until(done: () => boolean): Promise<void> {
    const start = performance.now();
    while (!done()) {
      if (performance.now() - start < SPIN_MS) await new Promise((resolve) => setImmediate(resolve));
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
