/**
 * Inputs on a Triton device, and the programs over them.
 *
 * @module
 */
import {
  BuildError,
  type BuiltProgram,
  type DeviceSession,
  type ElementType,
  type HostTensor,
  type OutputSpec,
  type Program,
  type TimeOptions,
  type TritonProgram,
} from "../device.ts";
import { tensorBytes } from "../tensors.ts";
import type { Compilers } from "./compilers.ts";
import { type Python, TritonError } from "./python.ts";

/** A program that Python has compiled. */
class BuiltTriton implements BuiltProgram {
  constructor(
    readonly id: number,
    readonly compileMs: number,
    readonly build: Readonly<Record<string, number>>,
    readonly outputs: readonly OutputSpec[],
    readonly session: TritonSession,
  ) {}

  run(): Promise<ReadonlyMap<string, HostTensor>> {
    return this.session.run(this);
  }

  destroy(): void {
    this.session.drop(this);
  }
}

/** Inputs on a Triton device, and the programs over them. */
export class TritonSession implements DeviceSession {
  #nextId = 1;
  /** What is no longer needed; Python hears of it with the next request, since `destroy` awaits nothing. */
  #dropped: number[] = [];

  /** Starts to compile a program; absent where nothing compiles beside the session. */
  readonly prepare?: (program: Program) => Promise<void>;

  private constructor(
    readonly python: Python,
    readonly warn: (message: string) => void,
    readonly compilers: Compilers | undefined,
  ) {
    if (compilers) {
      this.prepare = (program) => program.backend === "triton" ? compilers.prepare(program) : Promise.resolve();
    }
  }

  /** Sends inputs to the device, in place of those before. `compilers` compile what is prepared. */
  static async load(
    python: Python,
    inputs: readonly HostTensor[],
    warn: (message: string) => void,
    compilers?: Compilers,
  ): Promise<TritonSession> {
    const tensors = inputs.map((tensor) => ({
      name: tensor.name,
      dataBytes: tensor.data.byteLength,
      tensorBytes: tensorBytes(tensor),
      rotates: tensor.rotates ?? false,
    }));
    const payload = inputs.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    await python.request({ op: "load", tensors }, payload);
    return new TritonSession(python, warn, compilers);
  }

  async build(program: Program): Promise<BuiltProgram> {
    if (program.backend !== "triton") throw new BuildError(`Cannot build a ${program.backend} program on Triton`);
    await this.#sweep();
    await this.compilers?.settled(program);
    const id = this.#nextId++;
    try {
      const { compileMs, build } = await this.python.request({ op: "build", program_id: id, program: asJson(program) });
      return new BuiltTriton(id, compileMs as number, build as Record<string, number>, program.outputs, this);
    } catch (error) {
      if (error instanceof TritonError && error.building && !error.fatal) throw new BuildError(error.message);
      throw error;
    }
  }

  /** Runs a program once over poisoned buffers. */
  async run({ id, outputs }: BuiltTriton): Promise<ReadonlyMap<string, HostTensor>> {
    const { sizes, payload } = await this.python.request({ op: "run", program_id: id });
    let at = 0;
    const tensors = outputs.map(({ name, type, shape }, i): [string, HostTensor] => {
      const bytes = payload.slice(at, at += (sizes as number[])[i]);
      return [name, { name, type, shape, data: typed(type, bytes.buffer) }];
    });
    return new Map(tensors);
  }

  async time(programs: readonly BuiltProgram[], options: TimeOptions): Promise<number[][]> {
    const ids = programs.map((program) => {
      if (program instanceof BuiltTriton) return program.id;
      throw new TypeError("Cannot time a program that another backend built");
    });
    await this.#sweep();
    const { samples, warnings } = await this.python.request({ op: "time", programs: ids, ...options });
    (warnings as string[]).forEach(this.warn);
    return samples as number[][];
  }

  /** Notes that a program is no longer needed. */
  drop({ id }: BuiltTriton): void {
    this.#dropped.push(id);
  }

  destroy(): void {
    this.#dropped = []; // Loading other inputs drops all programs.
  }

  async #sweep(): Promise<void> {
    for (const id of this.#dropped.splice(0)) await this.python.request({ op: "drop", program_id: id });
  }
}

/** A program with its data as plain lists. */
export function asJson(program: TritonProgram): unknown {
  const buffers = program.buffers.map(({ data, ...spec }) =>
    data ? { ...spec, data: [...data], type: data instanceof Float32Array ? "f32" : "i32" } : spec
  );
  return { ...program, buffers };
}

function typed(type: ElementType, buffer: ArrayBuffer): HostTensor["data"] {
  switch (type) {
    case "f32":
      return new Float32Array(buffer);
    case "f16":
    case "bf16":
      return new Uint16Array(buffer);
    case "u32":
      return new Uint32Array(buffer);
    case "i32":
      return new Int32Array(buffer);
    case "e4m3":
      return new Uint8Array(buffer);
  }
}
