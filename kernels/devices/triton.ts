/**
 * The Triton backend: kernels in Python, on NVIDIA's devices through PyTorch, or on the CPU through Triton's interpreter
 * where TRITON_INTERPRET is 1.
 *
 * A worker of it needs `--allow-run` of its Python and the environment variable KVTUNE_PYTHON, and no more: inputs and
 * outputs cross a pipe, and inputs, the reference and the check stay on this side of it.
 *
 * @module
 */
import type { DeviceBackend, DeviceInfo, DeviceReadings, HostTensor, OpenDevice, Program } from "./device.ts";
import { Compilers } from "./triton/compilers.ts";
import { DEFAULT_PYTHON, Python, PythonError } from "./triton/python.ts";
import { asJson, TritonSession } from "./triton/session.ts";

export { DEFAULT_PYTHON, Python, PythonError };

/** Processes that compile beside the one that has the device: as many as the search asks for at a time. */
const MOST_COMPILERS = 8;

class OpenTritonDevice implements OpenDevice {
  readonly #warnings = new Set<string>();

  constructor(readonly info: DeviceInfo, readonly python: Python, readonly compilers: Compilers | undefined) {}

  get clock() {
    return this.info.software ? "cpu" : "device";
  }

  load(inputs: readonly HostTensor[]): Promise<TritonSession> {
    return TritonSession.load(this.python, inputs, (message) => this.#warnings.add(message), this.compilers);
  }

  readings(): DeviceReadings {
    return { values: {}, warnings: [...this.#warnings] };
  }

  close(): void {
    this.compilers?.close();
    this.python.close();
  }
}

/** Triton's devices through one Python: a name on the PATH, or a path. */
export function tritonBackend(command: string): DeviceBackend {
  return {
    /** @throws {PythonError} Where this Python cannot run Triton: it says why, which an empty list would not. */
    list: async () => {
      const python = await Python.start(command);
      try {
        return (await python.request({ op: "list" })).devices as DeviceInfo[];
      } finally {
        await python.close();
      }
    },
    /**
     * Opens a device.
     *
     * @throws {PythonError} Where this Python cannot run Triton.
     * @throws {RangeError} Where `smCount` is not the whole device's: Triton cannot cut it.
     */
    open: async (index, { smCount } = {}) => {
      const python = await Python.start(command);
      try {
        const info = (await python.request({ op: "open", device: index })).device as DeviceInfo;
        if (smCount !== undefined && smCount !== info.smCount) {
          throw new RangeError(
            `Cannot use ${smCount} SMs of ${info.name}: Triton has the whole device, ${info.smCount}`,
          );
        }
        // The interpreter compiles nothing.
        const beside = info.software ? 0 : Math.min(MOST_COMPILERS, Math.floor(navigator.hardwareConcurrency / 2));
        const compilers = beside > 0 ? new Compilers(() => Python.start(command), index, beside) : undefined;
        return new OpenTritonDevice(info, python, compilers);
      } catch (error) {
        await python.close();
        throw error;
      }
    },
  };
}

/**
 * Compiles a program for a device that need not be here.
 *
 * @param arch As in "sm_90".
 * @returns Bytes of shared memory by launch: `stage1SharedBytes`, …
 * @throws {TritonError} With what the compiler says.
 * @throws {TypeError} Where the program is for another backend.
 */
export async function compileAhead(
  python: Python,
  program: Program,
  arch: string,
): Promise<Readonly<Record<string, number>>> {
  if (program.backend !== "triton") throw new TypeError(`Cannot compile a ${program.backend} program with Triton`);
  return (await python.request({ op: "ahead", program: asJson(program), arch })).build as Record<string, number>;
}

/** A device of this architecture, with its limits and features, for spaces and compiling ahead of time. */
export async function targetDevice(python: Python, arch: string): Promise<DeviceInfo> {
  return (await python.request({ op: "target", arch })).device as DeviceInfo;
}
