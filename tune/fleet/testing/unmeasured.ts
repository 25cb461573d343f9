/** Results without a device: the baseline, in no time. */
import type { DeviceInfo } from "../../../kernels/devices/device.ts";
import { kernelNamed } from "../../../kernels/registry.ts";
import { type Results, SCHEMA_REFERENCE, SCHEMA_VERSION } from "../../../results/mod.ts";
import { placeOf, problemOf } from "../../plan/targets.ts";
import { SIMULATED_DEVICE } from "../../testing/simulated_device.ts";
import type { TuneJob } from "../job.ts";
import type { Measure } from "../measure.ts";

/** One of many kinds of device. */
export function simulatedKind(kind: number): DeviceInfo {
  return { ...SIMULATED_DEVICE, name: `Simulated device ${kind}`, smCount: 132, features: ["shader-f16"] };
}

/** Results that a worker could have measured: the baseline, in no time. */
export function unmeasured({ target, sourceHash }: TuneJob, of: DeviceInfo): Results {
  const kernel = kernelNamed(target.kernel);
  const problem = problemOf(target);
  const { size: { smCount, contextLen } } = placeOf(target);
  const config = kernel.implementations[of.backend]!.baseline(problem, of);
  return {
    $schema: SCHEMA_REFERENCE,
    schemaVersion: SCHEMA_VERSION,
    kernel: kernel.name,
    backend: of.backend,
    device: { name: of.name, arch: of.arch, smCount: of.smCount, software: of.software },
    problem: { name: kernel.problemName(problem), ...kernel.problemFields(problem) },
    configs: { [smCount]: { [contextLen]: config } },
    evidence: {
      [smCount]: {
        [contextLen]: {
          us: 100,
          interval: [99, 101],
          samples: 40,
          baselineUs: 100,
          baselineConfig: config,
          speedup: 1,
          speedupInterval: [1, 1],
          relError: 1e-6,
          errors: { lseError: 1e-6 },
          workspaceBytes: 0,
          gbps: 1,
          tflops: 1,
          clock: "device",
          coldCache: true,
          partition: false,
          chosen: "baseline",
          toolchain: "none",
          driver: of.driver,
          sourceHash,
          kvtune: "none",
          date: new Date().toISOString(),
          command: "none: simulated",
        },
      },
    },
  };
}

/** Answers every job at once. */
export const noMeasuring: Measure = {
  tune: (job, of) => Promise.resolve(unmeasured(job, of)),
  check: () => Promise.resolve({ holds: true, detail: "not measured" }),
};
