/**
 * A WebGPU worker, for tests, whose kernel is fast and wrong wherever max_kv_splits is 2: it launches half of the splits.
 *
 * @module
 */
import type { WebGpuProgram } from "../../kernels/devices/device.ts";
import { webgpu } from "../../kernels/devices/webgpu.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { serve } from "../worker/serve.ts";

function sabotaged(name: string): Kernel<unknown> {
  const kernel = kernelNamed(name);
  const honest = kernel.implementations.webgpu!;
  return {
    ...kernel,
    implementations: {
      webgpu: {
        ...honest,
        program(problem, config, device) {
          const program = honest.program(problem, config, device) as WebGpuProgram;
          if (config.max_kv_splits !== 2) return program;
          const [first, ...rest] = program.passes;
          const [x, splits, z] = first.workgroups;
          return { ...program, passes: [{ ...first, workgroups: [x, Math.ceil(splits / 2), z] }, ...rest] };
        },
      },
    },
  };
}

if (import.meta.main) {
  await serve(webgpu, { findKernel: sabotaged });
  Deno.exit(0);
}
