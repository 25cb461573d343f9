/**
 * The CUDA driver: its calls with every result checked, and what it says of its devices.
 *
 * @module
 */
import { driverPaths, openLibrary } from "./discovery.ts";
import { DRIVER_SYMBOLS } from "./driver_symbols.ts";
import { CudaError, isSticky, StickyCudaError } from "./errors.ts";
import { textOf } from "./layouts.ts";

/** CUDA_ERROR_NOT_READY: what was queried is still running. */
const NOT_READY = 600;

/** CUdevice_attribute, those that we ask for. */
const ATTRIBUTE = {
  threadsPerBlock: 1,
  blockX: 2,
  blockY: 3,
  blockZ: 4,
  gridX: 5,
  gridY: 6,
  gridZ: 7,
  sharedBytesPerBlock: 8,
  clockKhz: 13,
  smCount: 16,
  memoryClockKhz: 36,
  memoryBusBits: 37,
  l2Bytes: 38,
  threadsPerSm: 39,
  major: 75,
  minor: 76,
  sharedBytesPerSm: 81,
  registersPerSm: 82,
  sharedBytesPerBlockOptIn: 97,
  blocksPerSm: 106,
  sharedBytesReserved: 111,
  clusterLaunch: 120,
} as const;

/** A device as the driver describes it. */
export interface DeviceProperties extends Readonly<Record<keyof typeof ATTRIBUTE, number>> {
  readonly index: number;
  readonly name: string;
  /** "0000:1b:00.0": NVML counts devices in another order, and this names the same one there. */
  readonly pciBusId: string;
  readonly memoryBytes: number;
}

/** Cells for results of calls. Each call writes them and they are read at once: nothing here waits in between. */
export interface Out {
  readonly i32: Int32Array<ArrayBuffer>;
  readonly f32: Float32Array<ArrayBuffer>;
  readonly u64: BigUint64Array<ArrayBuffer>;
}

/** An initialised driver. */
export class Driver {
  readonly #library: Deno.DynamicLibrary<typeof DRIVER_SYMBOLS>;
  #sticky: StickyCudaError | undefined;
  readonly out: Out = {
    i32: new Int32Array(new ArrayBuffer(8)),
    f32: new Float32Array(new ArrayBuffer(8)),
    u64: new BigUint64Array(new ArrayBuffer(16)),
  };
  /** Where the library was found. */
  readonly path: string;
  /** CUDA's version that the driver supports: 13000 for 13.0. */
  readonly cudaVersion: number;

  /**
   * Opens libcuda and initialises it.
   *
   * @throws {LibraryError} Where no libcuda opens.
   * @throws {CudaError} Where it finds no device, or cannot speak to the kernel's driver.
   */
  constructor(paths: readonly string[] = driverPaths()) {
    const hint = "which NVIDIA's driver brings; set KVTUNE_LIBCUDA to its path where it lies elsewhere";
    const candidates = paths.map((path) => ({ path }));
    const { library, candidate } = openLibrary("libcuda", candidates, DRIVER_SYMBOLS, hint);
    this.#library = library;
    this.path = candidate.path;
    this.check(this.symbols.cuInit(0), "initialise the CUDA driver");
    this.check(this.symbols.cuDriverGetVersion(this.out.i32), "read the CUDA driver's version");
    this.cudaVersion = this.out.i32[0];
  }

  get symbols(): Deno.DynamicLibrary<typeof DRIVER_SYMBOLS>["symbols"] {
    return this.#library.symbols;
  }

  /** "13.0" */
  get cudaVersionText(): string {
    return `${Math.floor(this.cudaVersion / 1000)}.${Math.floor(this.cudaVersion % 1000 / 10)}`;
  }

  /** The error that made the process unusable, if one did. */
  get sticky(): StickyCudaError | undefined {
    return this.#sticky;
  }

  /** Unloads the library. For tests: a worker ends its process instead. */
  close(): void {
    this.#library.close();
  }

  /**
   * Passes on success and turns everything else into an error.
   *
   * @param doing What failed, to follow "Cannot".
   * @throws {StickyCudaError} Where no further call in this process can succeed.
   * @throws {CudaError} Otherwise.
   */
  check(result: number, doing: string): void {
    if (result === 0) return;
    const [name, text] = this.#describe(result);
    const message = `Cannot ${doing}: ${name} (${result}), ${text}`;
    if (!isSticky(result)) throw new CudaError(result, name, message);
    throw this.#sticky = new StickyCudaError(result, name, message);
  }

  /** Frees something: errors are dropped once the context is broken, since the process's end frees it all. */
  release(result: () => number, doing: string): void {
    if (this.#sticky) return;
    this.check(result(), doing);
  }

  /** True once what was queried is done. @throws {CudaError} With the fault of whatever ran. */
  isDone(result: number, doing: string): boolean {
    if (result === NOT_READY) return false;
    this.check(result, doing);
    return true;
  }

  /** The symbol, where the driver has it. @throws {CudaError} Where it is older than the symbol. */
  newer<T>(symbol: T | null, doing: string, since: string): T {
    if (symbol !== null) return symbol;
    const message = `Cannot ${doing}: the driver supports CUDA ${this.cudaVersionText}, this needs ${since} or newer`;
    throw new CudaError(36, "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", message);
  }

  /** A CUresult's name and meaning. */
  #describe(result: number): [string, string] {
    const text = (get: (result: number, out: BigUint64Array<ArrayBuffer>) => number, fallback: string) => {
      const { u64 } = this.out;
      u64[0] = 0n;
      if (get(result, u64) !== 0 || u64[0] === 0n) return fallback;
      return Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(u64[0])!);
    };
    return [
      text(this.symbols.cuGetErrorName, "an error without a name"),
      text(this.symbols.cuGetErrorString, "which this driver does not describe"),
    ];
  }

  /** Number of devices. */
  deviceCount(): number {
    this.check(this.symbols.cuDeviceGetCount(this.out.i32), "count CUDA devices");
    return this.out.i32[0];
  }

  /** What the driver says of a device. @throws {CudaError} Where there is no device of this index. */
  properties(index: number): DeviceProperties {
    const { symbols, out } = this;
    const doing = `describe CUDA device ${index}`;
    const device = this.device(index);
    const name = new Uint8Array(new ArrayBuffer(256));
    this.check(symbols.cuDeviceGetName(name, name.length, device), doing);
    const busId = new Uint8Array(new ArrayBuffer(32));
    this.check(symbols.cuDeviceGetPCIBusId(busId, busId.length, device), doing);
    this.check(symbols.cuDeviceTotalMem_v2(out.u64, device), doing);
    const memoryBytes = Number(out.u64[0]);
    const attributes = Object.entries(ATTRIBUTE).map(([key, id]) => {
      // An attribute that an old driver does not know is one that its device does not have.
      const result = symbols.cuDeviceGetAttribute(out.i32, id, device);
      if (result !== 0 && id < ATTRIBUTE.clusterLaunch) this.check(result, doing);
      return [key, result === 0 ? out.i32[0] : 0];
    });
    return {
      ...Object.fromEntries(attributes) as Record<keyof typeof ATTRIBUTE, number>,
      index,
      name: textOf(name),
      pciBusId: textOf(busId),
      memoryBytes,
    };
  }

  /** The CUdevice of an index. */
  device(index: number): number {
    this.check(this.symbols.cuDeviceGet(this.out.i32, index), `find CUDA device ${index}`);
    return this.out.i32[0];
  }
}
