/**
 * The CUDA backend: NVIDIA's devices through libcuda, NVRTC and NVML, over Deno's FFI and with no native code of ours.
 *
 * A worker needs `--allow-ffi` (unscoped: structs that are passed to the driver hold addresses), `--allow-read` (NVRTC,
 * CUDA's headers, the compile cache), `--allow-env` for the names in {@linkcode ENVIRONMENT}, and `--allow-write` for the
 * compile cache's folder, without which nothing is cached.
 *
 * @module
 */
import { cacheFolder, CompileCache } from "./cuda/compile_cache.ts";
import { Compiler } from "./cuda/compiler.ts";
import { Context } from "./cuda/context.ts";
import { deviceInfo } from "./cuda/device_info.ts";
import { Driver } from "./cuda/driver.ts";
import { smResource } from "./cuda/green_context.ts";
import { Libraries } from "./cuda/libraries.ts";
import { Nvml } from "./cuda/nvml.ts";
import { Nvrtc } from "./cuda/nvrtc.ts";
import { CudaSession } from "./cuda/session.ts";
import type { DeviceBackend, DeviceInfo, DeviceReadings, HostTensor, OpenDevice } from "./device.ts";

export { CudaError, LibraryError, StickyCudaError } from "./cuda/errors.ts";

/** Environment variables that a worker reads, where they are set and may be read. */
export const ENVIRONMENT: readonly string[] = [
  "CUDA_HOME",
  "CUDA_PATH",
  "VIRTUAL_ENV",
  "CONDA_PREFIX",
  "PATH",
  "LD_LIBRARY_PATH",
  "HOME",
  "XDG_CACHE_HOME",
  "KVTUNE_CACHE",
  "KVTUNE_LIBRARY_PATH",
  "KVTUNE_LIBCUDA",
  "KVTUNE_NVRTC",
  "KVTUNE_NVML",
];

/** libcuda is initialised once a process. Neither library is ever unloaded: a compile may still run on its thread. */
let openDriver: Driver | undefined;
let openCompiler: Nvrtc | undefined;

function driver(): Driver {
  return openDriver ??= new Driver();
}

function compiler(): Nvrtc {
  return openCompiler ??= Nvrtc.find(majorOf(driver()));
}

function majorOf(driver: Driver): number {
  return Math.floor(driver.cudaVersion / 1000);
}

/** What {@linkcode diagnose} found. */
export interface CudaDiagnosis {
  readonly devices: readonly DeviceInfo[];
  /** libcuda, where it opens and initialises. */
  readonly driver?: { readonly path: string; readonly cuda: string };
  /** NVRTC, where it opens. */
  readonly compiler?: { readonly path: string; readonly version: string; readonly includes: readonly string[] };
  /** What is missing, each with everything that was tried. Empty where kernels can be tuned. */
  readonly problems: readonly string[];
}

/** Says what of CUDA is here and what is missing. Takes no device and never throws. */
export function diagnose(): CudaDiagnosis {
  const problems: string[] = [];
  const attempt = <T>(get: () => T): T | undefined => {
    try {
      return get();
    } catch (error) {
      problems.push((error as Error).message);
      return undefined;
    }
  };
  const opened = attempt(driver);
  const devices = attempt(() => opened ? describe(opened) : []) ?? [];
  const found = attempt(() => {
    const nvrtc = Nvrtc.find(opened ? majorOf(opened) : Infinity);
    const { path, version, includes } = nvrtc;
    nvrtc.close();
    if (includes.length === 0) problems.push("Cannot find CUDA's headers (cuda_fp16.h): set CUDA_HOME to a toolkit");
    return { path, version, includes };
  });
  return {
    devices,
    ...(opened && { driver: { path: opened.path, cuda: opened.cudaVersionText } }),
    ...(found && { compiler: found }),
    problems,
  };
}

function describe(driver: Driver): DeviceInfo[] {
  return Array.from({ length: driver.deviceCount() }, (_, index) => {
    const properties = driver.properties(index);
    const nvml = Nvml.find(properties.pciBusId);
    const info = deviceInfo(driver, properties, smResource(driver, index), nvml?.driverVersion);
    nvml?.close();
    return { ...info, ...compilerFields() };
  });
}

/** Absent where there is no compiler: a device without one can still be described. */
function compilerFields(): Pick<DeviceInfo, "toolchain"> {
  try {
    return { toolchain: `NVRTC ${compiler().version}` };
  } catch {
    return {};
  }
}

class OpenCudaDevice implements OpenDevice {
  readonly clock = "device";
  readonly info: DeviceInfo;
  readonly #compiler: Compiler;
  readonly #context: Context;
  readonly #libraries: Libraries;
  readonly #nvml: Nvml | undefined;
  readonly #warnings = new Set<string>();

  constructor(index: number, smCount: number | undefined) {
    const opened = driver();
    const properties = opened.properties(index);
    this.#compiler = new Compiler(compiler(), [properties.major, properties.minor], new CompileCache(cacheFolder()));
    this.#nvml = Nvml.find(properties.pciBusId);
    const before = this.#nvml?.processes() ?? [];
    this.#context = new Context(opened, properties, smCount);
    this.#nvml?.claim(before);
    this.#libraries = new Libraries(this.#context);
    const { isPartition, hasClusters } = this.#context;
    const partition = isPartition ? { smCount: this.#context.smCount, hasClusters } : undefined;
    this.info = {
      ...deviceInfo(opened, properties, smResource(opened, index), this.#nvml?.driverVersion, partition),
      ...compilerFields(),
    };
  }

  load(inputs: readonly HostTensor[]): Promise<CudaSession> {
    const warn = (message: string) => void this.#warnings.add(message);
    return CudaSession.load(
      { context: this.#context, compiler: this.#compiler, libraries: this.#libraries, warn },
      inputs,
    );
  }

  readings(): DeviceReadings {
    const { values, warnings } = this.#nvml?.readings() ?? { values: {}, warnings: [] };
    return { values, warnings: [...warnings, ...this.#warnings] };
  }

  close(): void {
    this.#libraries.close();
    this.#context.close();
    this.#nvml?.close();
  }
}

/** NVIDIA's devices. */
export const cuda: DeviceBackend = {
  list: () => Promise.resolve(devices()),
  /**
   * Opens a device, or a partition of `smCount` of its SMs.
   *
   * @throws {LibraryError} Where the driver or NVRTC is missing, with every path that was tried.
   * @throws {RangeError} Where the device cannot be cut to `smCount`, or NVRTC is older than the device.
   * @throws {CudaError} Where the driver refuses.
   */
  open: async (index, options = {}) => {
    await Promise.resolve(); // What is thrown below rejects.
    return new OpenCudaDevice(index, options.smCount);
  },
};

function devices(): DeviceInfo[] {
  try {
    return describe(driver());
  } catch {
    return []; // No driver, or none that works: diagnose() says which.
  }
}
