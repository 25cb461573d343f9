/**
 * What the driver's refusals become.
 *
 * @module
 */

/** A call that the driver refused. The context lives on: another candidate can be tried in the same process. */
export class CudaError extends Error {
  override readonly name: string = "CudaError";
  /** @param code The CUresult. @param codeName Its name, for example "CUDA_ERROR_OUT_OF_MEMORY". */
  constructor(readonly code: number, readonly codeName: string, message: string) {
    super(message);
  }
}

/**
 * An error that stays: every later call in this process returns it too, and only a new process can use the device
 * again. `fatal` tells the worker to end after it has reported.
 */
export class StickyCudaError extends CudaError {
  override readonly name: string = "StickyCudaError";
  readonly fatal = true;
}

/**
 * CUresults after which "the process must be terminated and relaunched" (cuda.h), by number since some are newer than
 * the oldest driver that we run on.
 */
const STICKY: ReadonlySet<number> = new Set([
  214, // ECC_UNCORRECTABLE
  220, // NVLINK_UNCORRECTABLE
  226, // CONTAINED
  700, // ILLEGAL_ADDRESS
  702, // LAUNCH_TIMEOUT
  709, // CONTEXT_IS_DESTROYED
  710, // ASSERT
  714, // HARDWARE_STACK_ERROR
  715, // ILLEGAL_INSTRUCTION
  716, // MISALIGNED_ADDRESS
  717, // INVALID_ADDRESS_SPACE
  718, // INVALID_PC
  719, // LAUNCH_FAILED
  721, // TENSOR_MEMORY_LEAK
  999, // UNKNOWN
]);

/** True where no call in this process can succeed after `code`. */
export function isSticky(code: number): boolean {
  return STICKY.has(code);
}

/** One place that was searched, and why it did not serve. */
export interface Tried {
  readonly path: string;
  readonly why: string;
}

/** A shared library that is nowhere, or that cannot be opened where it is. */
export class LibraryError extends Error {
  override readonly name = "LibraryError";
  /** @param what The library, for people. @param tried Every path that was tried, in order. */
  constructor(what: string, readonly tried: readonly Tried[], hint: string) {
    const lines = tried.map(({ path, why }) => `  ${path}: ${why}`);
    super([`Cannot open ${what}, ${hint}; tried`, ...lines].join("\n"));
  }
}
