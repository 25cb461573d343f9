/**
 * Launches that a device cannot run, found before it is asked to: a refusal that names the limit, the value and what
 * would be accepted, in place of the driver's "invalid argument".
 *
 * @module
 */
import { BuildError, type CudaLaunch } from "../device.ts";
import type { DeviceProperties } from "./driver.ts";
import type { KernelAttributes } from "./context.ts";

/** Blocks of a cluster that every device with clusters has; up to the second number on demand. */
export const PORTABLE_CLUSTER = 8;
const LARGEST_CLUSTER = 16;
/** Compute capability, times ten, from which launches can overlap the launch before them. */
const PDL_CAPABILITY = 90;

/** What {@linkcode checkLaunch} needs to know of a device. */
export interface LaunchLimits {
  readonly properties: DeviceProperties;
  /** False on devices without clusters, and on partitions that gave them up. */
  readonly hasClusters: boolean;
}

function product(values: readonly number[]): number {
  return values.reduce((product, value) => product * value, 1);
}

/**
 * Checks what a launch says of itself, before anything is compiled.
 *
 * @throws {BuildError} Naming the limit, the value and the most that the device allows.
 */
export function checkLaunch(launch: CudaLaunch, { properties, hasClusters }: LaunchLimits): void {
  const { label, grid, block, cluster, sharedBytes, pdl } = launch;
  const refuse = (why: string): never => {
    throw new BuildError(`Cannot launch ${label}: ${why}`);
  };
  const atMost = (what: string, value: number, limit: number, least = 0) => {
    if (Number.isInteger(value) && value >= least && value <= limit) return;
    refuse(`${what} is ${value}, ${properties.name} allows ${least} to ${limit}`);
  };
  (["X", "Y", "Z"] as const).forEach((axis, i) => {
    atMost(`grid${axis}`, grid[i], properties[`grid${axis}`], 1);
    atMost(`block${axis}`, block[i], properties[`block${axis}`], 1);
  });
  atMost("threads a block", product(block), properties.threadsPerBlock, 1);
  atMost("shared memory in bytes a block", sharedBytes, properties.sharedBytesPerBlockOptIn);
  if (cluster) {
    if (!hasClusters) refuse(`it asks for clusters of ${cluster.join("×")} blocks, ${properties.name} has none here`);
    cluster.forEach((width, i) => {
      atMost("a cluster's width", width, LARGEST_CLUSTER, 1);
      if (grid[i] % width !== 0) {
        refuse(`a grid of ${grid.join("×")} is no multiple of clusters of ${cluster.join("×")}`);
      }
    });
    atMost("blocks a cluster", product(cluster), LARGEST_CLUSTER, 1);
  }
  const capability = 10 * properties.major + properties.minor;
  if (pdl && capability < PDL_CAPABILITY) {
    refuse(`it asks for programmatic dependent launch, which compute capability ${capability / 10} has not (9.0 has)`);
  }
}

/**
 * Checks what the compiler made of a launch's kernel.
 *
 * @throws {BuildError} Naming the limit, the value and the most that the device allows.
 */
export function checkKernel(launch: CudaLaunch, kernel: KernelAttributes, { properties }: LaunchLimits): void {
  const threads = product(launch.block);
  if (threads > kernel.threadsPerBlock) {
    throw new BuildError(
      `Cannot launch ${launch.label}: threads a block is ${threads}, ` +
        `its ${kernel.registers} registers a thread allow ${kernel.threadsPerBlock}`,
    );
  }
  const shared = kernel.sharedBytes + launch.sharedBytes;
  if (shared > properties.sharedBytesPerBlockOptIn) {
    throw new BuildError(
      `Cannot launch ${launch.label}: shared memory in bytes a block is ${shared} (${kernel.sharedBytes} of it static), ` +
        `${properties.name} allows ${properties.sharedBytesPerBlockOptIn}`,
    );
  }
}
