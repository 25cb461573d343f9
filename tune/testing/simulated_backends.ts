/** Backends whose workers are simulated. */
import type { Backends } from "../backends.ts";
import type { SimulationPlan } from "./simulated_device.ts";

/** One backend, named webgpu so that its kernels' spaces are the real ones. */
export function simulatedBackends(plan: SimulationPlan = {}): Backends {
  const worker = new URL("./simulated_worker.ts", import.meta.url).pathname;
  return {
    webgpu: {
      command: "deno",
      args: ["run", "--quiet", "--no-prompt", "--no-lock", "--allow-write", worker, JSON.stringify(plan)],
    },
  };
}
