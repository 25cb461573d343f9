/**
 * A worker process: `deno run tune/worker/main.ts BACKEND [PYTHON]`. It speaks the protocol on stdin and stdout.
 *
 * @module
 */
import type { DeviceBackend } from "../../kernels/devices/device.ts";
import { serve } from "./serve.ts";

/** Loaded on demand: a worker reads only its own backend's code. */
const BACKENDS: Record<string, (...args: string[]) => Promise<DeviceBackend>> = {
  cuda: async () => (await import("../../kernels/devices/cuda.ts")).cuda,
  triton: async (python) => (await import("../../kernels/devices/triton.ts")).tritonBackend(python),
  webgpu: async () => (await import("../../kernels/devices/webgpu.ts")).webgpu,
};

if (import.meta.main) {
  const [name, ...args] = Deno.args;
  if (!Object.hasOwn(BACKENDS, name ?? "")) {
    console.error(`Cannot start a worker for "${name}": expected ${Object.keys(BACKENDS).join(", ")}`);
    Deno.exit(2);
  }
  // Ctrl-C reaches the whole process group; the tuner decides when its workers end.
  Deno.addSignalListener("SIGINT", () => {});
  await serve(await BACKENDS[name](...args));
  Deno.exit(0); // A driver's threads must not keep a finished worker alive.
}
