/** From a race's verdict to an entry of a results file. */
import type { Clock, DeviceInfo } from "../../kernels/devices/device.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { type Results, SCHEMA_REFERENCE, SCHEMA_VERSION } from "../../results/mod.ts";
import type { TaskIdentity } from "../journal.ts";
import type { Verdict } from "../measure/race.ts";
import type { SweepSettings } from "../settings.ts";
import { VERSION } from "../version.ts";

/** What compiles and runs candidates, as evidence records it. */
export function toolchain(device: Pick<DeviceInfo, "toolchain">): string {
  return [`Deno ${Deno.version.deno}`, device.toolchain].filter((part) => part).join(", ");
}

/** A results file with this one entry, to be merged into what is there. */
export function toResults({ kernel, problem, device, clock, settings, identity, verdict, gbps, tflops }: {
  kernel: Kernel<unknown>;
  problem: unknown;
  device: DeviceInfo;
  clock: Clock;
  settings: SweepSettings;
  identity: TaskIdentity;
  verdict: Verdict;
  gbps: number;
  tflops: number;
}): Results {
  const [sm, context] = [String(device.smCount), String(kernel.contextLen(problem))];
  const { config, ties: _ties, dropouts: _dropouts, raceSamples: _samples, ...measured } = verdict;
  return {
    $schema: SCHEMA_REFERENCE,
    schemaVersion: SCHEMA_VERSION,
    kernel: kernel.name,
    backend: device.backend,
    device: {
      name: device.name,
      arch: device.arch,
      smCount: device.smCount,
      software: device.software,
    },
    problem: { name: kernel.problemName(problem), ...kernel.problemFields(problem) },
    configs: { [sm]: { [context]: config } },
    evidence: {
      [sm]: {
        [context]: {
          ...measured,
          gbps,
          tflops,
          clock,
          coldCache: settings.coldCache,
          partition: settings.smCounts !== undefined,
          toolchain: toolchain(device),
          driver: device.driver,
          sourceHash: identity.sourceHash,
          kvtune: VERSION,
          seed: settings.seed,
          command: settings.command,
        },
      },
    },
  };
}
