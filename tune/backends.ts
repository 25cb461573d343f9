/**
 * The backends that a sweep can use, and how each one's worker process is started.
 *
 * @module
 */
import { resolve } from "node:path";
import { ENVIRONMENT } from "../kernels/devices/cuda.ts";
import { cacheFolder } from "../kernels/devices/cuda/compile_cache.ts";
import { DEFAULT_PYTHON } from "../kernels/devices/triton/python.ts";
import { type Worker, WorkerFailure, WorkerHost } from "./worker/host.ts";
import type { WorkerCommand } from "./worker/host.ts";
import type { DeviceInfo } from "../kernels/devices/device.ts";

/** Worker commands by backend name, the preferred backend first. */
export type Backends = Readonly<Record<string, WorkerCommand>>;

/** A Deno worker with no more permissions than its backend needs. */
function denoWorker(
  backend: string,
  permissions: readonly string[] = [],
  args: readonly string[] = [],
): WorkerCommand {
  const script = new URL("./worker/main.ts", import.meta.url);
  const path = script.protocol === "file:" ? script.pathname : script.href;
  return {
    command: "deno",
    args: ["run", "--no-prompt", "--quiet", "--no-lock", ...permissions, path, backend, ...args],
  };
}

/** The Python that has Triton: a name on the PATH, or a path as the caller means it. */
export function pythonCommand(named: string = Deno.env.get("KVTUNE_PYTHON") || DEFAULT_PYTHON): string {
  return named.includes("/") ? resolve(Deno.env.get("INIT_CWD") ?? ".", named) : named;
}

/** Triton's worker runs one program, Python; tensors cross a pipe, so that it needs nothing else. */
function tritonWorker(python: string): WorkerCommand {
  return denoWorker("triton", [`--allow-run=${python}`], [python]);
}

/** CUDA's worker opens libraries, reads headers and the environment, and writes its compile cache. */
function cudaPermissions(): string[] {
  const cache = cacheFolder();
  return [
    "--allow-ffi", // Unscoped: structs that are passed to the driver hold addresses.
    "--allow-read",
    `--allow-env=${ENVIRONMENT.join(",")}`,
    ...(cache === undefined ? [] : [`--allow-write=${cache}`]),
  ];
}

/** The backends that kvtune has. */
export const BACKENDS: Backends = {
  cuda: denoWorker("cuda", cudaPermissions()),
  webgpu: denoWorker("webgpu"),
  triton: tritonWorker(pythonCommand()),
};

/** These backends, with Triton in another Python where one is named. */
export function withPython(backends: Backends, python: string | undefined): Backends {
  return python === undefined ? backends : { ...backends, triton: tritonWorker(pythonCommand(python)) };
}

/** A backend's devices, or why it could not say. */
export interface Found {
  readonly backend: string;
  readonly devices: readonly DeviceInfo[];
  readonly error?: string;
}

/** Asks a backend for its devices, in a worker of its own: a driver that hangs costs that worker alone. */
export async function findDevices(backend: string, start: WorkerCommand | (() => Worker)): Promise<Found> {
  const worker = typeof start === "function" ? start() : new WorkerHost(start);
  try {
    const { devices } = await worker.request({ op: "list" });
    return { backend, devices };
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
    return { backend, devices: [], error: error.message };
  } finally {
    await worker.close();
  }
}

/** Asks all backends; the answers are in their order. */
export async function findAllDevices(backends: Backends): Promise<Found[]> {
  return await Promise.all(Object.entries(backends).map(([backend, command]) => findDevices(backend, command)));
}

/** The device that a sweep takes unasked: hardware before software, then the backends' order. */
export function bestDevice(found: readonly Found[]): DeviceInfo | undefined {
  const devices = found.flatMap(({ devices }) => devices);
  return devices.find(({ software }) => !software) ?? devices[0];
}
