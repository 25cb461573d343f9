/** Devices for tests. */
import type { DeviceInfo } from "../../devices/device.ts";

/** An H200 as its driver describes it, and the same with another compute capability. */
export function testDevice(computeCapability = 90): DeviceInfo {
  return {
    backend: "cuda",
    index: 0,
    name: "NVIDIA H200",
    arch: `sm_${computeCapability}`,
    driver: "580.159.04 (CUDA 13.0)",
    smCount: 132,
    smCountSource: "driver",
    software: false,
    limits: {
      workgroupStorageBytes: 232448,
      workgroupInvocations: 1024,
      memoryBytes: 150109880320,
      computeCapability,
      sharedBytesPerSm: 233472,
      sharedBytesReserved: 1024,
    },
    features: computeCapability >= 90 ? ["pdl", "clusters"] : [],
  };
}
