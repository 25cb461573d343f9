/**
 * What every device offers to the tuner, whatever its backend: it takes inputs, builds programs, runs and times them.
 *
 * A device lives in a worker process. Nothing here knows what is tuned or why.
 *
 * @module
 */

/** How a kernel runs. */
export type Backend = "webgpu" | "cuda" | "triton";

/** One piece of hardware through one backend. */
export interface DeviceInfo {
  readonly backend: Backend | string;
  /** Position in the backend's own list of devices. */
  readonly index: number;
  /** As the driver gives it: "NVIDIA H200", "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  /** Compute capability as "sm_90", a WebGPU architecture, or "" where unknown. */
  readonly arch: string;
  readonly driver: string;
  /** What compiles kernels besides the driver, with its version, of a device that is open: "NVRTC 13.0". */
  readonly toolchain?: string;
  /** Multiprocessors, or the threads of a software adapter. */
  readonly smCount: number;
  /** `driver`: reported; `measured`: from steps in run time; `threads`: a software adapter's; `given`: by the user. */
  readonly smCountSource: "driver" | "measured" | "threads" | "given";
  /** A software adapter runs on the CPU: its times are process CPU time. */
  readonly software: boolean;
  /** Bytes, counts: `workgroupStorageBytes`, `workgroupInvocations`, `bufferBytes`, … */
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** Element types of tensors that cross to a device. */
export type ElementType = "f32" | "f16" | "bf16" | "u32" | "i32" | "e4m3";

/**
 * A tensor in host memory. f16 and bf16 are held as their bit patterns in a Uint16Array, E4M3 in a Uint8Array.
 *
 * `data` may be shorter than `shape`: then it repeats until the shape is full, so that a cache of 100 GB needs no host
 * that holds it. Its bytes are then a multiple of 4.
 */
export interface HostTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint16Array | Uint32Array | Int32Array | Uint8Array;
  /** True for tensors that serving reads once a step: timing rotates several copies of them, so that they are cold. */
  readonly rotates?: boolean;
}

/** A buffer that a program needs besides the inputs: outputs, partial results, schedules. */
export interface BufferSpec {
  readonly name: string;
  readonly bytes: number;
  /** Uploaded once where present; otherwise the buffer is poisoned before a checked run. */
  readonly data?: Uint32Array | Float32Array | Int32Array;
}

/** An output to be read back. */
export interface OutputSpec {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** One compute dispatch of a WebGPU program. */
export interface WebGpuPass {
  readonly label: string;
  /** Complete WGSL, constants included. */
  readonly source: string;
  readonly entryPoint: string;
  /** Buffer names, in the order of @binding(0…) of @group(0). */
  readonly bindings: readonly string[];
  readonly workgroups: readonly [number, number, number];
}

/** A program for the WebGPU device. */
export interface WebGpuProgram {
  readonly backend: "webgpu";
  readonly buffers: readonly BufferSpec[];
  readonly passes: readonly WebGpuPass[];
  readonly outputs: readonly OutputSpec[];
}

/** How samples are taken. */
export interface TimeOptions {
  /** Samples a program; programs are interleaved round by round. */
  readonly samples: number;
  /** Aim for samples at least this long, in µs, by repeating the program within a sample. */
  readonly sampleUs: number;
  /** Rotate copies of the inputs that serving reads once, so that caches are cold. */
  readonly coldCache: boolean;
  /**
   * Leave the device idle before the first sample, so that what ran before (a race's seconds of full load) has neither
   * heated it nor used up its power budget. CUDA does so; other backends take no notice of it.
   */
  readonly rested?: boolean;
}

/** Which clock times come from: device timestamps or events, or the process's CPU time on software adapters. */
export type Clock = "device" | "cpu";

/** A program that is compiled and bound to the inputs of its session. */
export interface BuiltProgram {
  readonly compileMs: number;
  /** What the compiler says of the build, where it does: registers, spills, shared memory. */
  readonly build: Readonly<Record<string, number>>;
  /** Runs once over poisoned outputs and reads the outputs back. */
  run(): Promise<ReadonlyMap<string, HostTensor>>;
  destroy(): void;
}

/** Inputs on a device, and the programs that run over them. */
export interface DeviceSession {
  /** Rejects with a {@linkcode BuildError} where the program does not compile or breaks a limit. */
  build(program: Program): Promise<BuiltProgram>;
  /**
   * Starts to compile a program that will be built soon, where the device compiles several at once. Resolves, never
   * rejects, once the build has no compile to wait for.
   */
  prepare?(program: Program): Promise<void>;
  /** µs a run, `samples` for each program, interleaved: program 0, 1, …, 0, 1, … */
  time(programs: readonly BuiltProgram[], options: TimeOptions): Promise<number[][]>;
  destroy(): void;
}

/** What a card says of itself while it is measured. Evidence, and reasons to doubt a measurement. */
export interface DeviceReadings {
  /** By name with its unit: `smClockMhz`, `powerW`, `temperatureC`, …; what the device does not say is absent. */
  readonly values: Readonly<Record<string, number | string>>;
  /** One line each: "busy: …", "throttling: …", "warm cache: …". Empty where nothing speaks against the measurement. */
  readonly warnings: readonly string[];
}

/** A device that is open. */
export interface OpenDevice {
  readonly info: DeviceInfo;
  readonly clock: Clock;
  /** Where the backend can ask: clocks, power, temperature, other users of the card. Call it just after timing. */
  readings?(): DeviceReadings;
  load(inputs: readonly HostTensor[]): Promise<DeviceSession>;
  close(): void;
}

/** What a backend's module gives. */
export interface DeviceBackend {
  /** Every device that the backend finds; empty where there is none. Never throws for a missing driver. */
  list(): Promise<DeviceInfo[]>;
  open(index: number, options?: { smCount?: number }): Promise<OpenDevice>;
}

/** A program that cannot be built: the compiler refused it, or it breaks a limit of the device. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** A program, or inputs, that the device's memory has no room for. The device lives on. */
export class MemoryError extends Error {
  override readonly name = "MemoryError";
}

/** A device that is gone: only a new process can use it again. */
export class DeviceLostError extends Error {
  override readonly name = "DeviceLostError";
  readonly fatal = true;
}

/** One kernel launch of a CUDA program. */
export interface CudaLaunch {
  readonly label: string;
  /** CUDA C++ for NVRTC. */
  readonly source: string;
  /** Included files by name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Name of an `extern "C"` kernel. */
  readonly entryPoint: string;
  /** `-D` constants. */
  readonly defines: Readonly<Record<string, string | number>>;
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly cluster?: readonly [number, number, number];
  readonly sharedBytes: number;
  /** Programmatic dependent launch on the launch before it. */
  readonly pdl: boolean;
  /** Kernel arguments in order: one struct by value is one `bytes` argument with pointers patched in. */
  readonly args: readonly CudaArg[];
}

/** A kernel argument: a buffer's address, a scalar, or a struct whose fields are laid out in order with C alignment. */
export type CudaArg =
  | { readonly buffer: string }
  | { readonly f32: number }
  | { readonly i32: number }
  | { readonly u64: bigint }
  | { readonly struct: readonly CudaArg[] };

/** A program for the CUDA device. */
export interface CudaProgram {
  readonly backend: "cuda";
  readonly buffers: readonly BufferSpec[];
  readonly launches: readonly CudaLaunch[];
  readonly outputs: readonly OutputSpec[];
}

/** An argument of a Triton launch: a tensor (flat unless it has a shape), a float, or what else is a value. */
export type TritonArg =
  | { readonly tensor: string; readonly type: ElementType | "u8"; readonly shape?: readonly number[] }
  | { readonly f32: number }
  | { readonly value: number | string | boolean };

/** One launch of a Triton program, or one call of a Python function. */
export interface TritonLaunch {
  readonly label: string;
  /** Path of the Python file. */
  readonly module: string;
  /** A function of the module: one that `triton.jit` made, or a plain one where there is no `grid`. */
  readonly function: string;
  /** By the names of the function's parameters. */
  readonly args: Readonly<Record<string, TritonArg>>;
  readonly grid?: readonly [number, number, number];
  /** `num_warps`, `num_stages`, `maxnreg`, `launch_pdl`; 0 and false ask for nothing. */
  readonly options: Readonly<Record<string, number | boolean>>;
  /** True for what makes outputs that can be checked and is no part of the kernel: it is not timed. */
  readonly checkedOnly?: boolean;
}

/** A program for the Triton device. */
export interface TritonProgram {
  readonly backend: "triton";
  readonly buffers: readonly BufferSpec[];
  readonly launches: readonly TritonLaunch[];
  readonly outputs: readonly OutputSpec[];
}

/** A program for any device. */
export type Program = WebGpuProgram | CudaProgram | TritonProgram;
