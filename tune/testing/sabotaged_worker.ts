/**
 * A worker, for tests, that plants a bad candidate in mla_decode: `deno run sabotaged_worker.ts BACKEND`.
 *
 * - `webgpu`: a config with max_kv_splits 2 is fast and wrong: half of its splits are launched.
 * - `cuda`: a config with merge_slices 8 writes to an illegal address, which poisons the process's context.
 *
 * @module
 */
import type { DeviceBackend, Program } from "../../kernels/devices/device.ts";
import { cuda } from "../../kernels/devices/cuda.ts";
import { webgpu } from "../../kernels/devices/webgpu.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import type { Config } from "../../kernels/space.ts";
import { serve } from "../worker/serve.ts";

function halfOfTheSplits(program: Program, config: Config): Program {
  if (config.max_kv_splits !== 2 || program.backend !== "webgpu") return program;
  const [first, ...rest] = program.passes;
  const [x, splits, z] = first.workgroups;
  return { ...program, passes: [{ ...first, workgroups: [x, Math.ceil(splits / 2), z] }, ...rest] };
}

const POISON = `extern "C" __global__ void poison(float *out) {
  out[(1ull << 60) + threadIdx.x] = 1.0f;
}`;

function illegalAddress(program: Program, config: Config): Program {
  if (config.merge_slices !== 8 || program.backend !== "cuda") return program;
  const launch = { ...program.launches[0], source: POISON, entryPoint: "poison", args: [{ buffer: "out" }] };
  return { ...program, launches: [{ ...launch, sharedBytes: 0, pdl: false }, ...program.launches] };
}

function sabotaged(backend: string, sabotage: typeof halfOfTheSplits): (name: string) => Kernel<unknown> {
  return (name) => {
    const kernel = kernelNamed(name);
    const honest = kernel.implementations[backend]!;
    const program: typeof honest.program = (problem, config, device) =>
      sabotage(honest.program(problem, config, device), config);
    return { ...kernel, implementations: { [backend]: { ...honest, program } } };
  };
}

const WORKERS: Record<string, [DeviceBackend, typeof halfOfTheSplits]> = {
  webgpu: [webgpu, halfOfTheSplits],
  cuda: [cuda, illegalAddress],
};

if (import.meta.main) {
  const [name] = Deno.args;
  const [backend, sabotage] = WORKERS[name];
  await serve(backend, { findKernel: sabotaged(name, sabotage) });
  Deno.exit(0);
}
