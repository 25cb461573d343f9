/**
 * A CUDA program that is compiled, loaded and bound to the inputs of its session.
 *
 * @module
 */
import {
  BuildError,
  type BuiltProgram,
  type CudaArg,
  type CudaLaunch,
  type CudaProgram,
  type HostTensor,
  MemoryError,
} from "../device.ts";
import type { CompiledUnit, Compiler } from "./compiler.ts";
import type { Context, Graph, KernelAttributes } from "./context.ts";
import { CudaError, StickyCudaError } from "./errors.ts";
import { packArgs, type PackedConfig, packLaunchConfig } from "./layouts.ts";
import type { Libraries } from "./libraries.ts";
import { checkKernel, checkLaunch, PORTABLE_CLUSTER } from "./limits.ts";
import { kernelReports } from "./nvrtc.ts";
import { elements, tensorBytes } from "../tensors.ts";

/** Every bit set is NaN in f16, bf16, f32 and E4M3, and no plausible integer: what is not written shows. */
const POISON = 0xff;

/** CUDA_ERROR_OUT_OF_MEMORY. */
const OUT_OF_MEMORY = 2;

const ARRAYS = {
  f32: Float32Array,
  u32: Uint32Array,
  i32: Int32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  e4m3: Uint8Array,
} as const;

/** What a program is built from: the open device, and the session's inputs. */
export interface Bench {
  readonly context: Context;
  readonly compiler: Compiler;
  readonly libraries: Libraries;
  /** The address of an input's copy, or undefined where there is no such input. */
  inputAddress(name: string, copy: number): bigint | undefined;
}

interface Own {
  readonly address: bigint;
  readonly bytes: number;
  readonly poisoned: boolean;
}

interface ReadyLaunch {
  readonly launch: CudaLaunch;
  readonly kernel: bigint;
  readonly config: PackedConfig;
}

function* bufferNames(args: readonly CudaArg[]): Generator<string> {
  for (const arg of args) {
    if ("buffer" in arg) yield arg.buffer;
    else if ("struct" in arg) yield* bufferNames(arg.struct);
  }
}

/** Checks what needs neither compiler nor device. @throws {BuildError} */
function checkProgram(program: CudaProgram, bench: Bench): void {
  const { properties, hasClusters } = bench.context;
  const own = new Map(program.buffers.map((buffer) => [buffer.name, buffer]));
  for (const { name } of program.buffers) {
    if (bench.inputAddress(name, 0) !== undefined) {
      throw new BuildError(`Cannot build: buffer "${name}" is an input too`);
    }
  }
  if (own.size < program.buffers.length) throw new BuildError("Cannot build: two buffers have one name");
  for (const output of program.outputs) {
    const buffer = own.get(output.name);
    if (!buffer) throw new BuildError(`Cannot build: output "${output.name}" is none of the program's buffers`);
    const bytes = tensorBytes(output);
    if (bytes > buffer.bytes) {
      throw new BuildError(
        `Cannot build: output "${output.name}" takes ${bytes} bytes, its buffer has ${buffer.bytes}`,
      );
    }
  }
  for (const launch of program.launches) {
    checkLaunch(launch, { properties, hasClusters });
    for (const name of bufferNames(launch.args)) {
      if (own.has(name) || bench.inputAddress(name, 0) !== undefined) continue;
      throw new BuildError(`Cannot build: argument "${name}" of ${launch.label} is neither an input nor a buffer`);
    }
  }
}

/** What is recorded of a build: each launch's figures under its label, and the program's. */
function buildFigures(
  parts: readonly { launch: CudaLaunch; unit: CompiledUnit; kernel: KernelAttributes }[],
): Record<string, number> {
  const figures: Record<string, number> = { registers: 0, spillBytes: 0, sharedBytes: 0 };
  for (const { launch, unit, kernel } of parts) {
    const report = kernelReports(unit.log).get(launch.entryPoint);
    const spillBytes = (report?.spillStoreBytes ?? 0) + (report?.spillLoadBytes ?? 0);
    const sharedBytes = kernel.sharedBytes + launch.sharedBytes;
    figures.registers = Math.max(figures.registers, kernel.registers);
    figures.spillBytes += spillBytes;
    figures.sharedBytes = Math.max(figures.sharedBytes, sharedBytes);
    figures[`${launch.label}.registers`] = kernel.registers;
    figures[`${launch.label}.spillBytes`] = spillBytes;
    figures[`${launch.label}.localBytes`] = kernel.localBytes;
    figures[`${launch.label}.sharedBytes`] = sharedBytes;
  }
  return figures;
}

/** A program that is ready to run. */
export class BuiltCuda implements BuiltProgram {
  readonly #graphs = new Map<string, Graph>();
  #destroyed = false;

  private constructor(
    readonly compileMs: number,
    readonly build: Readonly<Record<string, number>>,
    private readonly bench: Bench,
    private readonly program: CudaProgram,
    private readonly launches: readonly ReadyLaunch[],
    private readonly own: ReadonlyMap<string, Own>,
    private readonly libraryKeys: readonly string[],
  ) {}

  /**
   * Compiles a program's launches, equal ones once, and allocates its buffers.
   *
   * @throws {BuildError} Where it does not compile or breaks a limit.
   * @throws {MemoryError} Where it does not fit into memory.
   */
  static async build(program: CudaProgram, bench: Bench): Promise<BuiltCuda> {
    const { context, compiler, libraries } = bench;
    checkProgram(program, bench);
    const start = performance.now();
    const settled = await Promise.allSettled(program.launches.map((launch) => compiler.compile(launch)));
    const units = settled.map((unit) => { // All have ended by now: no thread is left behind by one that fails.
      if (unit.status === "rejected") throw unit.reason;
      return unit.value;
    });
    const compileMs = performance.now() - start;
    const keys: string[] = [];
    const own = new Map<string, Own>();
    try {
      const parts = program.launches.map((launch, i) => {
        const library = libraries.take(units[i], launch.label);
        keys.push(units[i].key);
        const kernel = context.kernel(library, launch.entryPoint);
        return { launch, unit: units[i], handle: kernel, kernel: context.kernelAttributes(kernel, launch.entryPoint) };
      });
      const launches = parts.map(({ launch, handle, kernel }) => {
        checkKernel(launch, kernel, { properties: context.properties, hasClusters: context.hasClusters });
        // A kernel keeps the most that any program asked of it: programs with other sizes may share it.
        if (kernel.sharedBytes + launch.sharedBytes > context.properties.sharedBytesPerBlock) {
          const most = context.properties.sharedBytesPerBlockOptIn - kernel.sharedBytes;
          context.allowSharedBytes(handle, most, launch.label);
        }
        if (launch.cluster && elements(launch.cluster) > PORTABLE_CLUSTER) {
          context.allowLargeClusters(handle, launch.label);
        }
        return { launch, kernel: handle, config: packLaunchConfig(launch, context.stream) };
      });
      for (const { name, bytes, data } of program.buffers) {
        const size = Math.max(bytes, data?.byteLength ?? 0);
        own.set(name, { address: context.allocate(size, name), bytes: size, poisoned: !data });
        if (data) context.upload(own.get(name)!.address, bytesOf(data), name);
      }
      await context.settled("build a program");
      return new BuiltCuda(compileMs, buildFigures(parts), bench, program, launches, own, keys);
    } catch (error) {
      for (const { address } of own.values()) context.free(address);
      keys.forEach((key) => libraries.release(key));
      // What does not fit, or is no code for this device, is the candidate's fault and not the device's.
      if (error instanceof CudaError && error.code === OUT_OF_MEMORY) {
        throw new MemoryError(error.message, { cause: error });
      }
      if (error instanceof CudaError && !(error instanceof StickyCudaError)) {
        throw new BuildError(error.message, { cause: error });
      }
      throw error;
    }
  }

  /** Puts one run on the stream, over one copy of the rotating inputs. */
  enqueue(copy: number): void {
    const { context, inputAddress } = this.bench;
    for (const { launch, kernel, config } of this.launches) {
      const args = packArgs(launch.args, (name) => this.own.get(name)?.address ?? inputAddress(name, copy)!);
      context.launch(kernel, config, args, launch.label);
    }
  }

  /** `runs` runs in one graph, run i over copy i mod `copies`. Graphs are kept until the program is destroyed. */
  graph(runs: number, copies: number): Graph {
    const key = `${runs} ${copies}`;
    let graph = this.#graphs.get(key);
    if (!graph) {
      const labels = this.launches.map(({ launch }) => launch.label).join(", ");
      graph = this.bench.context.capture(() => {
        for (let i = 0; i < runs; i++) this.enqueue(i % copies);
      }, `${runs} runs of ${labels}`);
      this.#graphs.set(key, graph);
    }
    return graph;
  }

  /** Kernels in one run. */
  get launchCount(): number {
    return this.launches.length;
  }

  async run(): Promise<ReadonlyMap<string, HostTensor>> {
    const { context } = this.bench;
    for (const [name, { address, bytes, poisoned }] of this.own) {
      if (poisoned) context.fill(address, POISON, bytes, name);
    }
    this.enqueue(0);
    await context.settled(`run ${this.launches.map(({ launch }) => launch.label).join(", ")}`);
    const tensors = new Map<string, HostTensor>();
    for (const output of this.program.outputs) {
      const data = new ARRAYS[output.type](new ArrayBuffer(tensorBytes(output)));
      context.download(bytesOf(data), this.own.get(output.name)!.address, output.name);
      tensors.set(output.name, { ...output, data });
    }
    await context.settled("read outputs");
    return tensors;
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    const { context, libraries } = this.bench;
    for (const graph of this.#graphs.values()) graph.destroy();
    for (const { address } of this.own.values()) context.free(address);
    this.libraryKeys.forEach((key) => libraries.release(key));
  }
}

/** A tensor's bytes, without a copy. */
export function bytesOf(data: HostTensor["data"]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}
