/**
 * A worker, for tests, whose device compiles nothing: what is prepared counts as compiled once `{ a: 1 }` has been tried,
 * and `{ a: 2 }` at once. `{ a: 3 }` has no program.
 *
 * @module
 */
import type { DeviceBackend, WebGpuProgram } from "../../kernels/devices/device.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { Config } from "../../kernels/space.ts";
import { serve } from "../worker/serve.ts";
import { SIMULATED_DEVICE } from "./simulated_device.ts";

const compiled = Promise.withResolvers<void>();

const backend: DeviceBackend = {
  list: () => Promise.resolve([SIMULATED_DEVICE]),
  open: () =>
    Promise.resolve({
      info: SIMULATED_DEVICE,
      clock: "device",
      load: () =>
        Promise.resolve({
          prepare: (program) => (program as WebGpuProgram).passes.length === 2 ? Promise.resolve() : compiled.promise,
          build() {
            compiled.resolve();
            return Promise.resolve({ compileMs: 0, build: {}, run: () => Promise.resolve(new Map()), destroy() {} });
          },
          time: () => Promise.reject(new Error("Cannot time: nothing runs here")),
          destroy() {},
        }),
      close() {},
    }),
};

function program(config: Config): WebGpuProgram {
  if (config.a === 3) throw new RangeError("a is 3");
  const pass = { label: "", source: "", entryPoint: "", bindings: [], workgroups: [1, 1, 1] as const };
  return { backend: "webgpu", buffers: [], passes: new Array(config.a as number).fill(pass), outputs: [] };
}

const kernel = {
  name: "none",
  parseProblem: () => ({}),
  inputs: () => [],
  reference: () => ({ check: () => ({ ok: true, relError: 0, errors: {} }) }),
  implementations: { webgpu: { program: (_: unknown, config: Config) => program(config) } },
} as unknown as Kernel<unknown>;

if (import.meta.main) {
  await serve(backend, { findKernel: () => kernel });
  Deno.exit(0);
}
