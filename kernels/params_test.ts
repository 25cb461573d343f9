import assert from "node:assert/strict";
import { inDomain } from "./param_domain.ts";
import { KERNEL_PARAMS, paramDomains } from "./params.ts";
import { kernelNamed, kernelNames } from "./registry.ts";
import type { DeviceInfo } from "./devices/device.ts";

/** A device of each kind that makes a space differ: software, Hopper, and hardware that is neither. */
function devices(backend: string): DeviceInfo[] {
  const limits = {
    workgroupStorageBytes: 232_448,
    workgroupInvocations: 1024,
    workgroupSizeX: 1024,
    workgroupSizeY: 1024,
    workgroupSizeZ: 64,
    workgroupsPerDimension: 65_535,
    storageBuffers: 8,
    bufferBytes: 2 ** 40,
    bindingBytes: 2 ** 40,
    memoryBytes: 2 ** 40,
    sharedBytesPerSm: 233_472,
    sharedBytesReserved: 1024,
  };
  const device = { backend, index: 0, name: "any", arch: "", driver: "", smCountSource: "driver" as const };
  const features = ["shader-f16", "timestamp-query", "pdl"];
  return [true, false].flatMap((software) =>
    [90, 80].map((computeCapability) => (
      { ...device, smCount: 132, software, features, limits: { ...limits, computeCapability } }
    ))
  );
}

const PROBLEMS = ["fp8_e4m3", "bf16"].flatMap((kvType) =>
  [1, 16, 128].flatMap((heads) => [1, 32].map((batch) => ({ kvType, heads, batch, contextLens: 131_072 })))
);

for (const name of kernelNames) {
  const kernel = kernelNamed(name);
  for (const [backend, implementation] of Object.entries(kernel.implementations)) {
    Deno.test(`KERNEL_PARAMS has every parameter and value that ${name} has on ${backend}`, () => {
      const domains = paramDomains(name, backend);
      assert.ok(domains, `${name} on ${backend} has no domains: add them to kernels/params.ts`);
      for (const device of devices(backend)) {
        for (const fields of PROBLEMS) {
          const problem = kernel.parseProblem({ ...implementation!.problemDefaults, ...fields });
          const { params } = implementation!.space(problem, device);
          const baseline = Object.entries(implementation!.baseline(problem, device));
          for (
            const [param, value] of [...params.flatMap((p) => p.values.map((v) => [p.name, v] as const)), ...baseline]
          ) {
            const message = `${param} ${value}: add it to its domain in kernels/${name}/params.ts`;
            assert.ok(Object.hasOwn(domains, param) && inDomain(domains[param], value), message);
          }
        }
      }
    });
  }
}

Deno.test("paramDomains() knows no names that objects inherit", () => {
  assert.equal(paramDomains("mla_decode", "toString"), undefined);
  assert.equal(paramDomains("constructor", "cuda"), undefined);
  assert.ok(Object.hasOwn(KERNEL_PARAMS, "mla_decode"));
});
