/**
 * A CUDA device in the words that every backend shares.
 *
 * @module
 */
import type { DeviceInfo } from "../device.ts";
import type { DeviceProperties, Driver } from "./driver.ts";
import type { SmResource } from "./green_context.ts";

/** How a device is used, where that is not the whole of it. */
export interface PartitionInfo {
  readonly smCount: number;
  readonly hasClusters: boolean;
}

/**
 * Describes a device, or a partition of it.
 *
 * Limits are bytes and counts. `workgroupStorageBytes` is the shared memory that a block can have when it asks for it
 * (227 KiB on an H200), `sharedBytesPerSm` what its blocks share, each with `sharedBytesReserved` on top. `partitionMin`
 * and `partitionStep` are SMs, absent where the driver cannot partition.
 *
 * Features: `pdl` (programmatic dependent launch), `clusters`, `partitions` (it can be cut), `partition` (it is one).
 */
export function deviceInfo(
  driver: Driver,
  properties: DeviceProperties,
  resource: SmResource | undefined,
  driverVersion: string | undefined,
  partition?: PartitionInfo,
): DeviceInfo {
  const capability = 10 * properties.major + properties.minor;
  const features = [
    capability >= 90 && "pdl",
    (partition ? partition.hasClusters : properties.clusterLaunch === 1) && "clusters",
    resource !== undefined && "partitions",
    partition !== undefined && "partition",
  ];
  return {
    backend: "cuda",
    index: properties.index,
    name: properties.name,
    arch: `sm_${capability}`,
    driver: driverVersion ? `${driverVersion} (CUDA ${driver.cudaVersionText})` : `CUDA ${driver.cudaVersionText}`,
    smCount: partition?.smCount ?? properties.smCount,
    smCountSource: "driver",
    software: false,
    limits: {
      workgroupStorageBytes: properties.sharedBytesPerBlockOptIn,
      workgroupInvocations: properties.threadsPerBlock,
      bufferBytes: properties.memoryBytes,
      memoryBytes: properties.memoryBytes,
      l2Bytes: properties.l2Bytes,
      computeCapability: capability,
      deviceSmCount: properties.smCount,
      sharedBytesPerSm: properties.sharedBytesPerSm,
      sharedBytesReserved: properties.sharedBytesReserved,
      registersPerSm: properties.registersPerSm,
      threadsPerSm: properties.threadsPerSm,
      blocksPerSm: properties.blocksPerSm,
      clockMhz: properties.clockKhz / 1000,
      memoryClockMhz: properties.memoryClockKhz / 1000,
      memoryBusBits: properties.memoryBusBits,
      ...(resource && { partitionMin: resource.smallest, partitionStep: resource.step }),
    },
    features: features.filter((feature) => feature !== false),
  };
}
