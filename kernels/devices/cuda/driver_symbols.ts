/**
 * Symbols of libcuda.so.1, with the version suffixes that cuda.h puts on their names.
 *
 * Handles and device addresses are declared `u64`: on the 64-bit ABIs that CUDA has, a pointer and a 64-bit integer
 * travel in the same register, and a bigint needs no wrapping to be stored in a struct.
 *
 * @module
 */

/** What a driver of CUDA 12.0 or newer has. */
const required = {
  cuInit: { parameters: ["u32"], result: "i32" },
  cuDriverGetVersion: { parameters: ["buffer"], result: "i32" },
  cuGetErrorName: { parameters: ["i32", "buffer"], result: "i32" },
  cuGetErrorString: { parameters: ["i32", "buffer"], result: "i32" },
  // Devices.
  cuDeviceGetCount: { parameters: ["buffer"], result: "i32" },
  cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
  cuDeviceGetName: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDeviceGetAttribute: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDeviceTotalMem_v2: { parameters: ["buffer", "i32"], result: "i32" },
  cuDeviceGetPCIBusId: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  // Contexts.
  cuDevicePrimaryCtxRetain: { parameters: ["buffer", "i32"], result: "i32" },
  cuDevicePrimaryCtxRelease_v2: { parameters: ["i32"], result: "i32" },
  cuCtxSetCurrent: { parameters: ["u64"], result: "i32" },
  // Memory.
  cuMemGetInfo_v2: { parameters: ["buffer", "buffer"], result: "i32" },
  cuMemAlloc_v2: { parameters: ["buffer", "usize"], result: "i32" },
  cuMemFree_v2: { parameters: ["u64"], result: "i32" },
  cuMemcpyHtoDAsync_v2: { parameters: ["u64", "buffer", "usize", "u64"], result: "i32" },
  cuMemcpyDtoHAsync_v2: { parameters: ["buffer", "u64", "usize", "u64"], result: "i32" },
  cuMemcpyDtoDAsync_v2: { parameters: ["u64", "u64", "usize", "u64"], result: "i32" },
  cuMemsetD8Async: { parameters: ["u64", "u8", "usize", "u64"], result: "i32" },
  // Code. A library's kernels belong to no context, so that they run in a partition as on the whole device.
  cuLibraryLoadData: {
    parameters: ["buffer", "buffer", "pointer", "pointer", "u32", "pointer", "pointer", "u32"],
    result: "i32",
  },
  cuLibraryUnload: { parameters: ["u64"], result: "i32" },
  cuLibraryGetKernel: { parameters: ["buffer", "u64", "buffer"], result: "i32" },
  cuKernelGetAttribute: { parameters: ["buffer", "i32", "u64", "i32"], result: "i32" },
  cuKernelSetAttribute: { parameters: ["i32", "i32", "u64", "i32"], result: "i32" },
  cuLaunchKernelEx: { parameters: ["buffer", "u64", "buffer", "pointer"], result: "i32" },
  // Streams and events.
  cuStreamCreate: { parameters: ["buffer", "u32"], result: "i32" },
  cuStreamDestroy_v2: { parameters: ["u64"], result: "i32" },
  cuStreamQuery: { parameters: ["u64"], result: "i32" },
  cuEventCreate: { parameters: ["buffer", "u32"], result: "i32" },
  cuEventDestroy_v2: { parameters: ["u64"], result: "i32" },
  cuEventRecord: { parameters: ["u64", "u64"], result: "i32" },
  cuEventQuery: { parameters: ["u64"], result: "i32" },
  cuEventElapsedTime: { parameters: ["buffer", "u64", "u64"], result: "i32" },
  // Graphs.
  cuStreamBeginCapture_v2: { parameters: ["u64", "i32"], result: "i32" },
  cuStreamEndCapture: { parameters: ["u64", "buffer"], result: "i32" },
  cuGraphInstantiateWithFlags: { parameters: ["buffer", "u64", "u64"], result: "i32" },
  cuGraphLaunch: { parameters: ["u64", "u64"], result: "i32" },
  cuGraphExecDestroy: { parameters: ["u64"], result: "i32" },
  cuGraphDestroy: { parameters: ["u64"], result: "i32" },
} as const;

/** Green contexts, of CUDA 12.4 and newer: null in an older driver. */
const greenContexts = {
  cuDeviceGetDevResource: { parameters: ["i32", "buffer", "i32"], result: "i32", optional: true },
  cuDevSmResourceSplitByCount: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "u32", "u32"],
    result: "i32",
    optional: true,
  },
  cuDevResourceGenerateDesc: { parameters: ["buffer", "buffer", "u32"], result: "i32", optional: true },
  cuGreenCtxCreate: { parameters: ["buffer", "u64", "i32", "u32"], result: "i32", optional: true },
  cuGreenCtxDestroy: { parameters: ["u64"], result: "i32", optional: true },
  cuCtxFromGreenCtx: { parameters: ["buffer", "u64"], result: "i32", optional: true },
  cuGreenCtxStreamCreate: { parameters: ["buffer", "u64", "u32", "i32"], result: "i32", optional: true },
} as const;

/** Every symbol that the driver's binding uses. */
export const DRIVER_SYMBOLS = { ...required, ...greenContexts } as const;
