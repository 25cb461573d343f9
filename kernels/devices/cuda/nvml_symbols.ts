/**
 * Symbols of libnvidia-ml.so.1, all optional: what a driver lacks is left out of the readings. Handles are `u64`, as in
 * driver_symbols.ts.
 *
 * @module
 */

/** Every symbol that the readings use. */
export const NVML_SYMBOLS = {
  nvmlInit_v2: { parameters: [], result: "i32", optional: true },
  nvmlShutdown: { parameters: [], result: "i32", optional: true },
  nvmlSystemGetDriverVersion: { parameters: ["buffer", "u32"], result: "i32", optional: true },
  nvmlDeviceGetHandleByPciBusId_v2: { parameters: ["buffer", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetName: { parameters: ["u64", "buffer", "u32"], result: "i32", optional: true },
  nvmlDeviceGetClockInfo: { parameters: ["u64", "i32", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetMaxClockInfo: { parameters: ["u64", "i32", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetPowerUsage: { parameters: ["u64", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetEnforcedPowerLimit: { parameters: ["u64", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetTemperature: { parameters: ["u64", "i32", "buffer"], result: "i32", optional: true },
  // Named so since driver 535; before, the next one.
  nvmlDeviceGetCurrentClocksEventReasons: { parameters: ["u64", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetCurrentClocksThrottleReasons: { parameters: ["u64", "buffer"], result: "i32", optional: true },
  nvmlDeviceGetComputeRunningProcesses_v3: {
    parameters: ["u64", "buffer", "buffer"],
    result: "i32",
    optional: true,
  },
} as const;
