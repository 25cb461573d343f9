/**
 * What a results file holds: one (kernel, backend, device, problem), tuned for SM counts and context lengths.
 *
 * @module
 */
import type { ConfigIn, ParamDomains } from "../kernels/param_domain.ts";
import type { KERNEL_PARAMS } from "../kernels/params.ts";
import type { Config, ParamValue } from "../kernels/space.ts";

export type { Config, ParamValue };

/** The version of the format that this code reads and writes. */
export const SCHEMA_VERSION = 1;

/** The hardware that a file is about. */
export interface DeviceFields {
  /** As the driver gives it: "NVIDIA H200". */
  readonly name: string;
  /** "sm_90", a WebGPU architecture, or "" where unknown. */
  readonly arch: string;
  /** Multiprocessors of the whole device, or threads of a software adapter; the largest where files were merged. */
  readonly smCount: number;
  /** Whether it computes on the CPU. */
  readonly software: boolean;
}

/**
 * The sizes and types that were given, context lengths aside: `heads`, `batch`, `latent`, `kvType`, …
 *
 * `name`, where present, is the kernel's own name for the problem, and the stem of the file's name.
 */
export type ProblemFields = Readonly<Record<string, ParamValue>>;

/** A value for each SM count and then each context length, both decimal integers. */
export type BySize<T> = Readonly<Record<string, Readonly<Record<string, T>>>>;

/** What one process measured of an entry: its config beside its baseline, interleaved. */
export interface Replicate {
  /** Median time of a run, µs. */
  readonly us: number;
  /** 95 % interval of `us` within the process: [low, high], µs. */
  readonly interval: readonly [number, number];
  /** Timed samples. */
  readonly samples: number;
  /** Median time of the baseline, µs. */
  readonly baselineUs: number;
  /** Baseline time over this time. */
  readonly speedup: number;
  /** 95 % interval of `speedup` within the process: [low, high]. */
  readonly speedupInterval: readonly [number, number];
  /** Compilers and runtimes with their versions. */
  readonly toolchain: string;
  /** Version of the device's driver. */
  readonly driver: string;
  /** When it was measured: ISO 8601, UTC. */
  readonly date: string;
}

/**
 * What supports the choice of one config.
 *
 * With `replicates`, times and the speed-up are geometric means over them, and the intervals are those in which another
 * process's values lie. Without, both are of the one process that chose the config.
 */
export interface Evidence<C extends Config = Config> {
  /** Median time of a run, µs. */
  readonly us: number;
  /** 95 % interval of `us`: [low, high], µs. */
  readonly interval: readonly [number, number];
  /** Timed samples. */
  readonly samples: number;
  /** Median time of the baseline, µs. */
  readonly baselineUs: number;
  /** What the user would have had without tuning. */
  readonly baselineConfig: C;
  /** Baseline time over this time. */
  readonly speedup: number;
  /** 95 % interval of `speedup`: [low, high]. */
  readonly speedupInterval: readonly [number, number];
  /** ‖out − ref‖ / ‖ref‖ against the float64 reference. */
  readonly relError: number;
  /** Further error measures by name, for example `lseError`. */
  readonly errors: Readonly<Record<string, number>>;
  /** Scratch memory of the config, bytes. */
  readonly workspaceBytes: number;
  /** Bytes that the problem must move over `us`, in 10⁹ bytes a second. */
  readonly gbps: number;
  /** Operations that the problem must do over `us`, in 10¹² a second. */
  readonly tflops: number;
  /** Device timestamps or events, or the process's CPU time. */
  readonly clock: "device" | "cpu";
  /** Whether inputs were rotated so that caches were cold. */
  readonly coldCache: boolean;
  /** Whether this SM count is a partition of a larger device. */
  readonly partition: boolean;
  /** `baseline` where nothing was faster than it beyond doubt. */
  readonly chosen: "tuned" | "baseline";
  /** Compilers and runtimes with their versions. */
  readonly toolchain: string;
  /** Version of the device's driver. */
  readonly driver: string;
  /** Hash of the kernel's sources: the entry is stale where it changes. */
  readonly sourceHash: string;
  /** Version of the tuner. */
  readonly kvtune: string;
  /** When it was measured: ISO 8601, UTC. */
  readonly date: string;
  /** The command that measures it again. */
  readonly command: string;
  /** The largest difference between two entries of the baseline itself (A/A) that its 95 % interval leaves open, a share. */
  readonly noiseFloor?: number;
  /** Seed of the inputs. */
  readonly seed?: number;
  /** What the device said of itself just after the samples, by name with its unit: `smClockMhz`, `powerW`, … */
  readonly readings?: Readonly<Record<string, number | string>>;
  /** Reasons to doubt the times, one line each: a busy or throttling device. Absent where there were none. */
  readonly warnings?: readonly string[];
  /** What each process measured, the one that chose the config first. Absent where it alone did. */
  readonly replicates?: readonly Replicate[];
}

/** A results file. `configs` and `evidence` have the same sizes. */
export interface Results<C extends Config = Config> {
  /** Where the JSON Schema is, relative to the file: for editors. The writer sets it. */
  readonly $schema?: string;
  /** Readers refuse a version that they do not know. */
  readonly schemaVersion: typeof SCHEMA_VERSION;
  /** For example `mla_decode`. */
  readonly kernel: string;
  /** `webgpu`, `cuda` or `triton`. */
  readonly backend: string;
  /** The hardware that was measured. */
  readonly device: DeviceFields;
  /** What was given. */
  readonly problem: ProblemFields;
  /** The best config by SM count and context length. */
  readonly configs: BySize<C>;
  /** What supports each config, by SM count and context length. */
  readonly evidence: BySize<Evidence<C>>;
}

/** Kernels whose configs have a type. */
export type KernelName = keyof typeof KERNEL_PARAMS;

/** Backends that a kernel's configs have a type for. */
export type BackendName<K extends KernelName = KernelName> = keyof typeof KERNEL_PARAMS[K] & string;

/** A config of a kernel on a backend, parameter by parameter. */
export type ConfigFor<K extends KernelName, B extends BackendName<K>> = ConfigIn<
  Extract<typeof KERNEL_PARAMS[K][B], ParamDomains>
>;

/**
 * A results file of a kernel on a backend, fully typed.
 *
 * @example
 * ```ts
 * import type { ResultsFor } from "./types.ts";
 *
 * type Table = ResultsFor<"mla_decode", "cuda">;
 * const path: Table["configs"][string][string]["path"] = "few_heads";
 * ```
 */
export type ResultsFor<K extends KernelName, B extends BackendName<K>> =
  & Results<ConfigFor<K, B>>
  & { readonly kernel: K; readonly backend: B };

/** One size of a results file. */
export interface Size {
  /** Multiprocessors, of a whole device or a partition. */
  readonly smCount: number;
  /** Cached tokens of the longest request. */
  readonly contextLen: number;
}

/** Every size of a table, by SM count and then context length, ascending. */
export function sizesOf(table: BySize<unknown>): Size[] {
  return Object.keys(table).flatMap((smCount) =>
    Object.keys(table[smCount]).map((contextLen) => ({ smCount: Number(smCount), contextLen: Number(contextLen) }))
  );
}
