/**
 * The WebGPU backend: adapters of `navigator.gpu`, opened with their own limits and only the features that kernels use.
 *
 * @module
 */
import { type DeviceBackend, type DeviceInfo, DeviceLostError, type HostTensor, type OpenDevice } from "./device.ts";
import { type ArithmeticLoad, createArithmeticLoad, createArithmeticProbe, measureSmCount } from "./webgpu_sm_count.ts";
import { openSession, type WebGpuContext } from "./webgpu_session.ts";
import { createPassTimer, type PassTimer, type SpeedProbe } from "./webgpu_timing.ts";

/** Features asked for where the adapter has them, and what for. */
const FEATURES = [
  "shader-f16", // packed half-precision products (ACC "f16")
  "timestamp-query", // device-side timing
] as const;

/** Our names of limits, in units that they say, and WebGPU's. */
const LIMITS = {
  workgroupStorageBytes: "maxComputeWorkgroupStorageSize",
  workgroupInvocations: "maxComputeInvocationsPerWorkgroup",
  workgroupSizeX: "maxComputeWorkgroupSizeX",
  workgroupSizeY: "maxComputeWorkgroupSizeY",
  workgroupSizeZ: "maxComputeWorkgroupSizeZ",
  workgroupsPerDimension: "maxComputeWorkgroupsPerDimension",
  bindingBytes: "maxStorageBufferBindingSize",
  bufferBytes: "maxBufferSize",
  storageBuffers: "maxStorageBuffersPerShaderStage",
} as const;

interface Found {
  readonly adapter: GPUAdapter;
  readonly info: Omit<DeviceInfo, "smCount" | "smCountSource">;
}

/** Devices through WebGPU: hardware adapters and the software adapter, each once. */
export const webgpu: DeviceBackend = { list, open };

/** Measured SM counts by adapter, so that a process measures each adapter once. */
const smCounts = new Map<string, number>();

async function list(): Promise<DeviceInfo[]> {
  const infos: DeviceInfo[] = [];
  for (const { adapter, info } of await findAdapters()) {
    const known = info.software ? softwareThreads() : smCounts.get(info.name);
    if (known !== undefined) {
      infos.push(withSmCount(info, known));
      continue;
    }
    const device = await requestDevice(adapter, info);
    const timing = createTiming(device);
    infos.push(withSmCount(info, await smCount(timing, info)));
    timing.destroy();
    device.destroy();
  }
  return infos;
}

/**
 * Opens the adapter at `index` of {@linkcode webgpu}'s list.
 *
 * @param options.smCount Used instead of a measured count.
 * @throws {RangeError} Where there is no such adapter, or `smCount` is no positive integer.
 */
async function open(index: number, options: { smCount?: number } = {}): Promise<OpenDevice> {
  const { smCount: given } = options;
  if (given !== undefined && !(Number.isInteger(given) && given > 0)) {
    throw new RangeError(`Cannot open WebGPU device ${index}: smCount is ${given}, expected a positive integer`);
  }
  const found = await findAdapters();
  if (!found[index]) {
    const accepted = found.length === 0 ? "no adapter was found" : `expected 0 to ${found.length - 1}`;
    throw new RangeError(`Cannot open WebGPU device ${index}: ${accepted}`);
  }
  const { adapter, info } = found[index];
  const device = await requestDevice(adapter, info);
  const timing = info.software ? undefined : createTiming(device);
  const fullInfo: DeviceInfo = given !== undefined
    ? { ...info, smCount: given, smCountSource: "given" }
    : withSmCount(info, timing ? await smCount(timing, info) : softwareThreads());
  return openDevice(device, fullInfo, timing);
}

function openDevice(device: GPUDevice, info: DeviceInfo, timing: Timing | undefined): OpenDevice {
  let lost: string | undefined;
  device.lost.then((reason) => lost = reason.message || reason.reason || "no reason given");
  const context: WebGpuContext = {
    device,
    info,
    timing,
    pipelines: new Map(),
    assertAlive() {
      if (lost !== undefined) {
        throw new DeviceLostError(`WebGPU device ${info.index} (${info.name}) was lost: ${lost}`);
      }
    },
  };
  return {
    info,
    clock: timing ? "device" : "cpu",
    load: (inputs: readonly HostTensor[]) => openSession(context, inputs),
    close: () => {
      context.pipelines.clear();
      timing?.destroy();
      device.destroy();
    },
  };
}

/** What a hardware adapter is timed with. */
interface Timing {
  readonly timer: PassTimer;
  readonly probe: SpeedProbe;
  readonly load: ArithmeticLoad;
  destroy(): void;
}

function createTiming(device: GPUDevice): Timing {
  const timer = createPassTimer(device);
  const load = createArithmeticLoad(device);
  return {
    timer,
    load,
    probe: createArithmeticProbe(timer, load),
    destroy: () => {
      timer.destroy();
      load.destroy();
    },
  };
}

/** Every distinct adapter, hardware first. */
async function findAdapters(): Promise<Found[]> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) return [];
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: "high-performance" },
    { powerPreference: "low-power" },
    { forceFallbackAdapter: true },
  ];
  const found: Found[] = [];
  for (const request of requests) {
    const adapter = await gpu.requestAdapter(request).catch(() => null);
    if (!adapter) continue;
    const info = describe(adapter);
    if (found.some((other) => other.info.name === info.name && other.info.arch === info.arch)) continue;
    found.push({ adapter, info });
  }
  found.sort((a, b) => Number(a.info.software) - Number(b.info.software));
  return found.map(({ adapter, info }, index) => ({ adapter, info: { ...info, index } }));
}

function describe(adapter: GPUAdapter): Found["info"] {
  const { description, device, vendor, architecture, isFallbackAdapter } = adapter.info;
  const name = description || device || vendor || "unnamed adapter";
  const limits = Object.fromEntries(
    Object.entries(LIMITS).map(([ours, theirs]) => [ours, adapter.limits[theirs] as number]),
  );
  return {
    backend: "webgpu",
    index: 0,
    name,
    arch: architecture,
    driver: navigator.userAgent, // WebGPU names no driver; the runtime decides how WGSL is compiled
    software: isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|software/i.test(name),
    limits,
    features: FEATURES.filter((feature) => adapter.features.has(feature)),
  };
}

async function requestDevice(adapter: GPUAdapter, info: Found["info"]): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice({
      requiredFeatures: [...info.features] as GPUFeatureName[],
      requiredLimits: Object.fromEntries(Object.entries(LIMITS).map(([ours, theirs]) => [theirs, info.limits[ours]])),
    });
  } catch (error) {
    throw new Error(`Cannot open WebGPU adapter "${info.name}": ${error instanceof Error ? error.message : error}`);
  }
}

function softwareThreads(): number {
  return navigator.hardwareConcurrency;
}

async function smCount({ timer, load, probe }: Timing, info: Found["info"]): Promise<number> {
  const known = smCounts.get(info.name) ?? await measureSmCount(timer, load, probe);
  smCounts.set(info.name, known);
  return known;
}

function withSmCount(info: Found["info"], count: number): DeviceInfo {
  return { ...info, smCount: count, smCountSource: info.software ? "threads" : "measured" };
}
