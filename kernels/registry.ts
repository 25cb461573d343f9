/** The kernels that kvtune knows by name. */
import type { Kernel } from "./kernel.ts";
import { mlaDecode } from "./mla_decode/kernel.ts";
import { installedKernel, SERVERS } from "./mla_decode/triton/installed.ts";

// A kernel's problems pass through `parseProblem` as data, so that their type can be forgotten here.
const KERNELS = [mlaDecode, ...SERVERS.map((server) => installedKernel(mlaDecode, server))].map((kernel) =>
  kernel as unknown as Kernel<unknown>
);

/** Names of all kernels. */
export const kernelNames: readonly string[] = KERNELS.map((kernel) => kernel.name);

/**
 * The kernel of this name.
 *
 * @throws {RangeError} Where no kernel has the name.
 */
export function kernelNamed(name: string): Kernel<unknown> {
  const kernel = KERNELS.find((kernel) => kernel.name === name);
  if (!kernel) throw new RangeError(`Cannot find kernel "${name}", expected ${kernelNames.join(", ")}`);
  return kernel;
}
