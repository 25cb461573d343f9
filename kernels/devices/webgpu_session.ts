/**
 * Inputs on a WebGPU device, and the programs that are built, checked and timed over them.
 *
 * @module
 */
import {
  BuildError,
  type BuiltProgram,
  type DeviceInfo,
  type DeviceSession,
  type HostTensor,
  MemoryError,
  type OutputSpec,
  type Program,
  type TimeOptions,
  type WebGpuPass,
  type WebGpuProgram,
} from "./device.ts";
import { elements, tensorBytes } from "./tensors.ts";
import { type PassTimer, type SpeedProbe, submitPass, type Timed, timeOnCpu, timeOnDevice } from "./webgpu_timing.ts";
import { workgroupNeeds } from "./wgsl_limits.ts";

/** An open device as its sessions see it. */
export interface WebGpuContext {
  readonly device: GPUDevice;
  readonly info: DeviceInfo;
  /** Device-side timing; absent on software adapters, which are timed by CPU time. */
  readonly timing?: { readonly timer: PassTimer; readonly probe: SpeedProbe };
  /** Compiled pipelines by entry point and source, least recently used first. */
  readonly pipelines: Map<string, GPUComputePipeline>;
  /** @throws {DeviceLostError} Where the device was lost. */
  assertAlive(): void;
}

/** Rotated copies together exceed every cache (an H200 has 60 MiB, an MI300X 256 MiB), and stay below this many. */
const ROTATED_BYTES = 300e6;
const MAX_COPIES = 64;
const SOFTWARE_COPIES = 2;
/** Pipelines kept: more than any one sweep's neighbourhood of programs, few enough for memory. */
const MAX_PIPELINES = 64;
const POISON_BYTES = 1 << 22;

interface LoadedInput {
  readonly copies: readonly GPUBuffer[];
}

type Built = BuiltProgram & Timed;

/**
 * Uploads inputs.
 *
 * @throws {RangeError} Where a tensor is larger than the device's buffers or bindings may be.
 */
export async function openSession(context: WebGpuContext, inputs: readonly HostTensor[]): Promise<DeviceSession> {
  const { device } = context;
  context.assertAlive();
  for (const tensor of inputs) {
    const why = tooLarge(context, tensor.name, tensorBytes(tensor));
    if (why) throw new RangeError(`Cannot load inputs: ${why}`);
  }
  const copies = copyCount(context.info, inputs);
  const loaded = new Map<string, LoadedInput>();
  device.pushErrorScope("out-of-memory");
  for (const tensor of inputs) {
    const { name, data, rotates } = tensor;
    loaded.set(name, {
      copies: Array.from({ length: rotates ? copies : 1 }, () => upload(device, name, data, tensorBytes(tensor))),
    });
  }
  const memory = await device.popErrorScope();
  if (memory) throw new RangeError(`Cannot load inputs: ${memory.message}`);
  const poison = createBuffer(device, "poison", POISON_BYTES);
  device.queue.writeBuffer(poison, 0, new Uint8Array(POISON_BYTES).fill(0xff)); // NaN in every float type

  return {
    build: (program) => build(context, loaded, poison, copies, program),
    time: (programs, options) => time(context, programs as Built[], options),
    destroy() {
      poison.destroy();
      for (const input of loaded.values()) input.copies.forEach((buffer) => buffer.destroy());
    },
  };
}

function copyCount(info: DeviceInfo, inputs: readonly HostTensor[]): number {
  const bytes = inputs.reduce((sum, tensor) => sum + (tensor.rotates ? tensorBytes(tensor) : 0), 0);
  if (bytes === 0) return 1;
  const copies = Math.ceil(ROTATED_BYTES / bytes) + 1;
  return Math.min(copies, info.software ? SOFTWARE_COPIES : MAX_COPIES);
}

async function build(
  context: WebGpuContext,
  inputs: ReadonlyMap<string, LoadedInput>,
  poison: GPUBuffer,
  copies: number,
  program: Program,
): Promise<Built> {
  if (program.backend !== "webgpu") {
    throw new BuildError(`Cannot build a ${program.backend} program on a WebGPU device`);
  }
  const { device } = context;
  context.assertAlive();
  checkProgram(context, program, inputs);
  const start = performance.now();
  const own = new Map<string, GPUBuffer>();
  const destroy = () => own.forEach((buffer) => buffer.destroy());
  try {
    const pipelines: GPUComputePipeline[] = [];
    let fresh = false;
    for (const pass of program.passes) {
      const { pipeline, compiled } = await pipelineOf(context, pass);
      pipelines.push(pipeline);
      fresh ||= compiled;
    }
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    for (const { name, bytes, data } of program.buffers) {
      own.set(name, data ? upload(device, name, data) : createBuffer(device, name, bytes));
    }
    const groups = Array.from(
      { length: copies },
      (_, copy) =>
        program.passes.map((pass, i) =>
          device.createBindGroup({
            label: pass.label,
            layout: pipelines[i].getBindGroupLayout(0),
            entries: pass.bindings.map((name, binding) => {
              const shared = inputs.get(name)?.copies;
              const buffer = own.get(name) ?? shared![copy % shared!.length];
              return { binding, resource: { buffer } };
            }),
          })
        ),
    );
    // Deno compiles lazily, at a pipeline's first dispatch: one workgroup of each pass is enough.
    if (fresh) {
      submitPass(device, (encoder) =>
        program.passes.forEach((_, i) => {
          encoder.setPipeline(pipelines[i]);
          encoder.setBindGroup(0, groups[0][i]);
          encoder.dispatchWorkgroups(1);
        }));
      await device.queue.onSubmittedWorkDone();
    }
    const [memory, invalid] = [await device.popErrorScope(), await device.popErrorScope()];
    context.assertAlive();
    if (memory) throw new MemoryError(`Cannot build: ${memory.message}`);
    if (invalid) throw new BuildError(invalid.message);

    const record = (encoder: GPUComputePassEncoder, copy: number) =>
      program.passes.forEach((pass, i) => {
        encoder.setPipeline(pipelines[i]);
        encoder.setBindGroup(0, groups[copy % copies][i]);
        encoder.dispatchWorkgroups(...pass.workgroups);
      });
    const scratch = program.buffers.filter(({ data }) => !data).map(({ name }) => own.get(name)!);
    return {
      compileMs: performance.now() - start,
      build: {},
      record,
      run: () =>
        run(context, scratch, poison, program.outputs.map((spec) => ({ spec, from: own.get(spec.name)! })), record),
      destroy,
    };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Checks what Deno's WebGPU does not, before a pipeline exists: one beyond the limits can hang a driver. */
function checkProgram(
  context: WebGpuContext,
  program: WebGpuProgram,
  inputs: ReadonlyMap<string, LoadedInput>,
): void {
  const { limits } = context.info;
  const own = new Set(program.buffers.map(({ name }) => name));
  for (const { name, bytes } of program.buffers) {
    const why = tooLarge(context, name, bytes);
    if (why) throw new BuildError(`Cannot build: ${why}`);
  }
  for (const { name } of program.outputs) {
    if (!own.has(name)) throw new BuildError(`Cannot build: output "${name}" is none of the program's buffers`);
  }
  for (const pass of program.passes) {
    const unknown = pass.bindings.find((name) => !own.has(name) && !inputs.has(name));
    if (unknown !== undefined) {
      throw new BuildError(`Cannot bind "${unknown}" of pass "${pass.label}": no such buffer or input`);
    }
    const exceed = (what: string, value: number, limit: string) => {
      if (value > limits[limit]) {
        throw new BuildError(
          `Cannot build pass "${pass.label}": ${what} is ${value}, ${limit} allows ${limits[limit]}`,
        );
      }
    };
    let needs;
    try {
      needs = workgroupNeeds(pass.source, pass.entryPoint);
    } catch (error) {
      throw new BuildError(`Cannot build pass "${pass.label}": ${(error as Error).message}`);
    }
    exceed("workgroup storage in bytes", needs.storageBytes, "workgroupStorageBytes");
    exceed("invocations a workgroup", needs.invocations, "workgroupInvocations");
    ["X", "Y", "Z"].forEach((axis, i) => exceed(`workgroup size ${axis}`, needs.size[i], `workgroupSize${axis}`));
    pass.workgroups.forEach((count) => exceed("workgroups in a dimension", count, "workgroupsPerDimension"));
  }
}

function tooLarge({ info: { limits } }: WebGpuContext, name: string, bytes: number): string | undefined {
  for (const limit of ["bufferBytes", "bindingBytes"]) {
    if (bytes > limits[limit]) return `buffer "${name}" takes ${bytes} bytes, ${limit} allows ${limits[limit]}`;
  }
}

/** Compiles a pass, or finds it compiled before. */
async function pipelineOf(
  { device, pipelines }: WebGpuContext,
  pass: WebGpuPass,
): Promise<{ pipeline: GPUComputePipeline; compiled: boolean }> {
  const key = `${pass.entryPoint}\n${pass.source}`;
  const known = pipelines.get(key);
  pipelines.delete(key);
  if (known) {
    pipelines.set(key, known);
    return { pipeline: known, compiled: false };
  }
  device.pushErrorScope("validation");
  let pipeline: GPUComputePipeline | undefined;
  let thrown: string | undefined;
  const module = device.createShaderModule({ label: pass.label, code: pass.source });
  try {
    pipeline = device.createComputePipeline({
      label: pass.label,
      layout: "auto",
      compute: { module, entryPoint: pass.entryPoint },
    });
  } catch (error) {
    thrown = String(error);
  }
  const invalid = await device.popErrorScope();
  if (invalid || thrown || !pipeline) {
    throw new BuildError(
      `Cannot compile pass "${pass.label}": ${(invalid?.message ?? thrown ?? "no pipeline").trim()}`,
    );
  }
  pipelines.set(key, pipeline);
  if (pipelines.size > MAX_PIPELINES) pipelines.delete(pipelines.keys().next().value!);
  return { pipeline, compiled: true };
}

/** Poisons what the program writes, runs it once, and reads its outputs back. */
async function run(
  context: WebGpuContext,
  scratch: readonly GPUBuffer[],
  poison: GPUBuffer,
  outputs: readonly { spec: OutputSpec; from: GPUBuffer }[],
  record: (pass: GPUComputePassEncoder, copy: number) => void,
): Promise<ReadonlyMap<string, HostTensor>> {
  const { device } = context;
  context.assertAlive();
  device.pushErrorScope("validation");
  const encoder = device.createCommandEncoder();
  for (const buffer of scratch) {
    for (let offset = 0; offset < buffer.size; offset += POISON_BYTES) {
      encoder.copyBufferToBuffer(poison, 0, buffer, offset, Math.min(POISON_BYTES, buffer.size - offset));
    }
  }
  const pass = encoder.beginComputePass();
  record(pass, 0);
  pass.end();
  const staging = outputs.map(({ spec, from }) => {
    const bytes = roundUp4(tensorBytes(spec));
    const to = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
    return to;
  });
  device.queue.submit([encoder.finish()]);
  const invalid = await device.popErrorScope();
  try {
    if (invalid) throw new Error(`Cannot run: ${invalid.message}`);
    const tensors = new Map<string, HostTensor>();
    await Promise.all(staging.map((buffer) => buffer.mapAsync(GPUMapMode.READ)));
    for (const [i, { spec }] of outputs.entries()) {
      tensors.set(spec.name, { ...spec, data: view(spec, staging[i].getMappedRange().slice(0)) });
      staging[i].unmap();
    }
    context.assertAlive();
    return tensors;
  } finally {
    staging.forEach((buffer) => buffer.destroy());
  }
}

/** Interleaved samples: µs a run, by device timestamps or by process CPU time. */
async function time(context: WebGpuContext, programs: readonly Built[], options: TimeOptions): Promise<number[][]> {
  context.assertAlive();
  const { device, timing } = context;
  const times = timing
    ? await timeOnDevice(timing.timer, timing.probe, programs, options)
    : await timeOnCpu(device, programs, options);
  context.assertAlive();
  return times;
}

function createBuffer(device: GPUDevice, label: string, bytes: number): GPUBuffer {
  const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = GPUBufferUsage;
  return device.createBuffer({
    label,
    size: Math.max(16, roundUp4(bytes)),
    usage: STORAGE | COPY_SRC | COPY_DST | (bytes <= device.limits.maxUniformBufferBindingSize ? UNIFORM : 0),
  });
}

/** A buffer of `bytes` bytes that `data` fills, repeated where it is shorter. */
function upload(device: GPUDevice, label: string, data: HostTensor["data"], size = data.byteLength): GPUBuffer {
  const buffer = createBuffer(device, label, size);
  const bytes = wholeWords(data);
  // Deno 2.9.6 panics where no bytes are written.
  for (let at = 0; at < size && bytes.length > 0; at += bytes.length) {
    device.queue.writeBuffer(buffer, at, bytes, 0, Math.min(bytes.length, roundUp4(size) - at));
  }
  return buffer;
}

/** A tensor's bytes, with zeros up to a multiple of 4: no write is shorter. */
function wholeWords(data: HostTensor["data"]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  if (bytes.length % 4 === 0) return bytes;
  const padded = new Uint8Array(roundUp4(bytes.length));
  padded.set(bytes);
  return padded;
}

function view({ type, shape }: OutputSpec, bytes: ArrayBuffer): HostTensor["data"] {
  const count = elements(shape);
  switch (type) {
    case "f32":
      return new Float32Array(bytes, 0, count);
    case "u32":
      return new Uint32Array(bytes, 0, count);
    case "i32":
      return new Int32Array(bytes, 0, count);
    case "e4m3":
      return new Uint8Array(bytes, 0, count);
    default:
      return new Uint16Array(bytes, 0, count);
  }
}

function roundUp4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4; // not `& ~3`, which is 32-bit arithmetic: buffers can be larger
}
