/**
 * Inputs on a CUDA device, with as many copies of those that rotate as keep the L2 cache cold.
 *
 * @module
 */
import {
  BuildError,
  type BuiltProgram,
  type DeviceSession,
  type HostTensor,
  type Program,
  type TimeOptions,
} from "../device.ts";
import type { Compiler } from "./compiler.ts";
import type { Context } from "./context.ts";
import type { Libraries } from "./libraries.ts";
import { type Bench, BuiltCuda, bytesOf } from "./program.ts";
import { tensorBytes } from "../tensors.ts";
import { timePrograms } from "./timing.ts";

/** All copies together are at least this many times the L2 cache, and this many bytes. */
const L2_TIMES = 5;
const ROTATED_BYTES = 300e6;
/** Copies at most: beyond this even tiny inputs' graphs would cost more than they tell. */
const MAX_COPIES = 1024;
/** Device memory that rotation leaves to programs and to the driver, in bytes. */
const LEFT_FREE = 1 << 30;

interface LoadedInput {
  readonly bytes: number;
  readonly rotates: boolean;
  /** The first is the uploaded one. */
  readonly copies: bigint[];
}

/** What a session runs on. */
export interface Workbench {
  readonly context: Context;
  readonly compiler: Compiler;
  readonly libraries: Libraries;
  /** Told when memory allows fewer copies than keep the cache cold. */
  warn(message: string): void;
  /** Waits so many ms before rested samples; a timer where absent. */
  readonly pause?: (ms: number) => Promise<void>;
}

/** How many copies of `bytes` bytes a cold cache needs, and how many of them fit. */
export function copyCount(bytes: number, l2Bytes: number, freeBytes: number): { wanted: number; fitting: number } {
  if (bytes === 0) return { wanted: 1, fitting: 1 };
  const wanted = Math.min(MAX_COPIES, Math.ceil(Math.max(ROTATED_BYTES, L2_TIMES * l2Bytes) / bytes));
  const fitting = 1 + Math.max(0, Math.floor((freeBytes - LEFT_FREE) / bytes));
  return { wanted, fitting: Math.min(wanted, fitting) };
}

/** Inputs on a device, and the programs that run over them. */
export class CudaSession implements DeviceSession {
  readonly #inputs = new Map<string, LoadedInput>();
  readonly #workbench: Workbench;
  readonly #bench: Bench;
  #copies: number | undefined;

  private constructor(workbench: Workbench) {
    this.#workbench = workbench;
    this.#bench = {
      ...workbench,
      inputAddress: (name, copy) => {
        const copies = this.#inputs.get(name)?.copies;
        return copies?.[copy % copies.length];
      },
    };
  }

  /**
   * Uploads inputs.
   *
   * @throws {CudaError} Where they do not fit into the device's memory.
   * @throws {RangeError} Where two have one name.
   */
  static async load(workbench: Workbench, inputs: readonly HostTensor[]): Promise<CudaSession> {
    const session = new CudaSession(workbench);
    const { context } = workbench;
    try {
      for (const tensor of inputs) {
        const { name, data, rotates = false } = tensor;
        if (session.#inputs.has(name)) throw new RangeError(`Cannot load inputs: two are called "${name}"`);
        const bytes = tensorBytes(tensor);
        const address = context.allocate(bytes, name);
        session.#inputs.set(name, { bytes, rotates, copies: [address] });
        context.upload(address, bytesOf(data), name);
        // What is there doubles, so that a long repetition takes few copies.
        for (let filled = data.byteLength; 0 < filled && filled < bytes; filled *= 2) {
          context.copy(address + BigInt(filled), address, Math.min(filled, bytes - filled), name);
        }
      }
      await context.settled("load inputs");
      return session;
    } catch (error) {
      session.destroy();
      throw error;
    }
  }

  async build(program: Program): Promise<BuiltProgram> {
    if (program.backend !== "cuda") {
      throw new BuildError(`Cannot build a ${program.backend} program on a CUDA device`);
    }
    return await BuiltCuda.build(program, this.#bench);
  }

  async prepare(program: Program): Promise<void> {
    if (program.backend !== "cuda") return;
    // An error is kept for the build, which compiles the same unit again.
    await Promise.allSettled(program.launches.map((launch) => this.#bench.compiler.compile(launch)));
  }

  async time(programs: readonly BuiltProgram[], options: TimeOptions): Promise<number[][]> {
    const built = programs.map((program) => {
      if (program instanceof BuiltCuda) return program;
      throw new TypeError("Cannot time a program that another backend built");
    });
    const copies = options.coldCache ? await this.#rotate() : 1;
    const { context, pause } = this.#workbench;
    return await timePrograms(context, built, copies, options, pause);
  }

  /** Makes the copies that a cold cache needs, at the first call, and says how many there are. */
  async #rotate(): Promise<number> {
    if (this.#copies !== undefined) return this.#copies;
    const { context, warn } = this.#workbench;
    const rotating = [...this.#inputs].filter(([, { rotates }]) => rotates);
    const bytes = rotating.reduce((sum, [, input]) => sum + input.bytes, 0);
    const { wanted, fitting } = copyCount(bytes, context.properties.l2Bytes, context.freeBytes());
    if (fitting < wanted) {
      warn(`warm cache: ${fitting} of ${wanted} copies of the inputs fit into free memory`);
    }
    for (const [name, input] of rotating) {
      while (input.copies.length < fitting) {
        const address = context.allocate(input.bytes, `a copy of ${name}`);
        input.copies.push(address);
        context.copy(address, input.copies[0], input.bytes, `a copy of ${name}`);
      }
    }
    await context.settled("copy inputs");
    return this.#copies = fitting;
  }

  destroy(): void {
    for (const { copies } of this.#inputs.values()) copies.forEach((address) => this.#workbench.context.free(address));
    this.#inputs.clear();
  }
}
