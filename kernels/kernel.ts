/**
 * What a kernel is: a named computation with problems, inputs, a reference, and one implementation or more.
 *
 * @module
 */
import type { DeviceInfo, HostTensor, Program } from "./devices/device.ts";
import type { Config, Space } from "./space.ts";

/** What a problem moves and computes at the least: the two floors of its time. */
export interface Work {
  /** Bytes of device memory, each input read once and each output written once. */
  readonly bytes: number;
  /** Floating-point operations, a multiply-add as two. */
  readonly flops: number;
}

/** The outcome of comparing a run's outputs with the reference. */
export interface Check {
  readonly ok: boolean;
  /** ‖out − ref‖ / ‖ref‖ over the rows that the reference has. */
  readonly relError: number;
  /** Further measures by name, for example `lseError`. */
  readonly errors: Readonly<Record<string, number>>;
  /** Why not, in one line, where `ok` is false. */
  readonly why?: string;
}

/** Compares outputs with a reference that it holds. */
export interface Reference {
  check(outputs: ReadonlyMap<string, HostTensor>, config: Config): Check;
}

/** A kernel on one backend. */
export interface Implementation<P> {
  /** Fields of a problem that this backend takes where the user names none. */
  readonly problemDefaults?: Readonly<Record<string, unknown>>;
  /** Every admitted config of `problem` on `device`. */
  space(problem: P, device: DeviceInfo, options?: SpaceOptions): Space;
  /** The config that a user has without tuning. It need not be in the space. */
  baseline(problem: P, device: DeviceInfo): Config;
  /** Bytes of scratch memory that the config costs. */
  workspaceBytes(problem: P, config: Config, device: DeviceInfo): number;
  /** The program of `config`: sources, buffers and launches, ready for the device. */
  program(problem: P, config: Config, device: DeviceInfo): Program;
  /**
   * A guess of the config's time in µs, from bytes, operations, waves and launches: what a search begins with. Only the
   * ratios between configs of one problem matter, and they need not be right.
   */
  estimateUs?(problem: P, config: Config, device: DeviceInfo): number;
  /** The sources that make a result stale when they change: without comments, which change nothing. Takes a while. */
  sources(): readonly string[];
}

/** What the user bounds a space by. */
export interface SpaceOptions {
  /** Scratch memory at most, in bytes. */
  readonly maxWorkspaceBytes?: number;
}

/** A named computation. `P` is its problem: the sizes and types that are given. */
export interface Kernel<P> {
  readonly name: string;
  /**
   * Reads a problem from untrusted data and fills in what is absent.
   *
   * @throws {TypeError | RangeError} With the field's name, its value and what is accepted.
   */
  parseProblem(json: unknown): P;
  /** The problem without its context lengths, for file names: "heads16-batch1-fp8_e4m3". */
  problemName(problem: P): string;
  /** The context length that a results file files this problem under. */
  contextLen(problem: P): number;
  /** The fields that a results file records of the problem: all but context lengths. */
  problemFields(problem: P): Readonly<Record<string, number | string | boolean>>;
  work(problem: P): Work;
  /** The same tensors for the same seed on every machine. */
  inputs(problem: P, seed: number): HostTensor[];
  /** In float64, on the inputs' own values; sampled where the whole would take too long. */
  reference(problem: P, inputs: readonly HostTensor[]): Reference;
  readonly implementations: Readonly<Partial<Record<string, Implementation<P>>>>;
}
