/**
 * Symbols of libnvrtc.so. Handles are `u64`, as in driver_symbols.ts.
 *
 * @module
 */

/** Every symbol that the compiler's binding uses. */
export const NVRTC_SYMBOLS = {
  nvrtcGetErrorString: { parameters: ["i32"], result: "pointer" },
  nvrtcVersion: { parameters: ["buffer", "buffer"], result: "i32" },
  nvrtcGetNumSupportedArchs: { parameters: ["buffer"], result: "i32" },
  nvrtcGetSupportedArchs: { parameters: ["buffer"], result: "i32" },
  nvrtcCreateProgram: { parameters: ["buffer", "buffer", "buffer", "i32", "buffer", "buffer"], result: "i32" },
  nvrtcDestroyProgram: { parameters: ["buffer"], result: "i32" },
  // On a thread of its own: a compile takes up to seconds, and several run at once.
  nvrtcCompileProgram: { parameters: ["u64", "i32", "buffer"], result: "i32", nonblocking: true },
  nvrtcGetProgramLogSize: { parameters: ["u64", "buffer"], result: "i32" },
  nvrtcGetProgramLog: { parameters: ["u64", "buffer"], result: "i32" },
  nvrtcGetCUBINSize: { parameters: ["u64", "buffer"], result: "i32" },
  nvrtcGetCUBIN: { parameters: ["u64", "buffer"], result: "i32" },
} as const;
