/**
 * NVRTC: CUDA C++ in, machine code for one architecture out. It needs no GPU.
 *
 * @module
 */
import { BuildError } from "../device.ts";
import { beside, type NvrtcCandidate, nvrtcCandidates, openLibrary, searchedIncludes } from "./discovery.ts";
import { cString, pointerArray, stableBytes, textOf } from "./layouts.ts";
import { NVRTC_SYMBOLS } from "./nvrtc_symbols.ts";

/** NVRTC_ERROR_COMPILATION: the source is at fault, not the compiler or its options. */
const COMPILATION = 6;

/** What is compiled at once: one translation unit. */
export interface CompileUnit {
  /** For messages: "stage1". */
  readonly label: string;
  readonly source: string;
  /** Included files by name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly options: readonly string[];
}

/** A compiled unit. */
export interface Compiled {
  /** Machine code, an ELF file. */
  readonly cubin: Uint8Array<ArrayBuffer>;
  /** Warnings, and what the assembler says of each kernel. */
  readonly log: string;
}

/** What the assembler says of a kernel, in bytes except for registers. */
export interface KernelReport {
  readonly registers: number;
  readonly stackBytes: number;
  readonly spillStoreBytes: number;
  readonly spillLoadBytes: number;
}

/**
 * The architecture whose code a compute capability runs best: "sm_90a" for 9.0.
 *
 * The architecture-specific set ("a") has wgmma, setmaxnreg and tcgen05, and runs on that architecture alone, which is
 * right for code that is compiled where it runs.
 */
export function architecture(major: number, minor: number): string {
  return `sm_${major}${minor}${major >= 9 ? "a" : ""}`;
}

/** Reads `-Xptxas -v` out of a log, by kernel. */
export function kernelReports(log: string): Map<string, KernelReport> {
  const reports = new Map<string, KernelReport>();
  for (const part of log.split(/Compiling entry function '/).slice(1)) {
    const number = (pattern: RegExp) => Number(part.match(pattern)?.[1] ?? 0);
    reports.set(part.slice(0, part.indexOf("'")), {
      registers: number(/Used (\d+) registers/),
      stackBytes: number(/(\d+) bytes stack frame/),
      spillStoreBytes: number(/(\d+) bytes spill stores/),
      spillLoadBytes: number(/(\d+) bytes spill loads/),
    });
  }
  return reports;
}

/** An open NVRTC. */
export class Nvrtc {
  readonly #library: Deno.DynamicLibrary<typeof NVRTC_SYMBOLS>;
  readonly #builtins: Deno.DynamicLibrary<Record<string, never>>[];
  readonly path: string;
  /** Folders with CUDA's headers. */
  readonly includes: readonly string[];
  /** "13.0" */
  readonly version: string;
  /** Compute capabilities that it compiles for, as 90 for 9.0. */
  readonly architectures: readonly number[];

  /**
   * @param candidates From {@linkcode nvrtcCandidates}.
   * @throws {LibraryError} Where none opens, or none has CUDA's headers, with what was tried.
   */
  constructor(candidates: readonly NvrtcCandidate[]) {
    const hint = "CUDA's runtime compiler; install CUDA's toolkit or `pip install nvidia-cuda-nvrtc`, " +
      "or set CUDA_HOME or KVTUNE_NVRTC";
    const { library, candidate } = openLibrary("libnvrtc", candidates, NVRTC_SYMBOLS, hint);
    this.#library = library;
    this.path = candidate.path;
    this.includes = candidate.includes;
    // NVRTC opens this one by its bare name when it first compiles. Outside the loader's folders (in Python's packages)
    // it is found only where it is loaded already.
    this.#builtins = beside(candidate.path, /^libnvrtc-builtins\.so\.[\d.]+$/).map((path) => Deno.dlopen(path, {}));
    const two = new Int32Array(new ArrayBuffer(8));
    this.#check(this.symbols.nvrtcVersion(two.subarray(0, 1), two.subarray(1)), "read NVRTC's version");
    this.version = `${two[0]}.${two[1]}`;
    this.#check(this.symbols.nvrtcGetNumSupportedArchs(two), "count NVRTC's architectures");
    const architectures = new Int32Array(new ArrayBuffer(4 * two[0]));
    this.#check(this.symbols.nvrtcGetSupportedArchs(architectures), "list NVRTC's architectures");
    this.architectures = [...architectures];
  }

  /** The best NVRTC on this machine for a driver of this major CUDA version. */
  static find(driverMajor: number): Nvrtc {
    return new Nvrtc(nvrtcCandidates(driverMajor));
  }

  get symbols(): Deno.DynamicLibrary<typeof NVRTC_SYMBOLS>["symbols"] {
    return this.#library.symbols;
  }

  /** Unloads the library. No compile may be under way. */
  close(): void {
    this.#library.close();
    for (const library of this.#builtins) library.close();
  }

  /**
   * Options that every unit of a device shares.
   *
   * @throws {RangeError} Where this NVRTC is older than the device.
   */
  options(major: number, minor: number): string[] {
    if (!this.architectures.includes(10 * major + minor)) {
      const known = this.architectures.join(", ");
      throw new RangeError(
        `Cannot compile for compute capability ${major}.${minor} with NVRTC ${this.version} (${this.path}): expected ${known}`,
      );
    }
    return [
      `--gpu-architecture=${architecture(major, minor)}`,
      "--std=c++17",
      "--device-as-default-execution-space", // Generic lambdas carry no annotation.
      "--generate-line-info", // Nsight Compute and Compute Sanitizer then name lines; code stays the same.
      "--ptxas-options=-v",
      ...this.includes.map((folder) => `--include-path=${folder}`),
    ];
  }

  /**
   * Compiles on a thread of its own.
   *
   * @throws {BuildError} Where the source does not compile: the first error first, then the compiler's whole log.
   */
  async compile(unit: CompileUnit): Promise<Compiled> {
    const handle = new BigUint64Array(new ArrayBuffer(8));
    const texts = Object.values(unit.headers).map(cString);
    const names = Object.keys(unit.headers).map(cString);
    // Pointers in these arrays are only good while what they point to is referenced from here.
    const sources = pointerArray(texts);
    const includeNames = pointerArray(names);
    const optionTexts = unit.options.map(cString);
    const options = pointerArray(optionTexts);
    const doing = `compile ${unit.label}`;
    this.#check(
      this.symbols.nvrtcCreateProgram(
        handle,
        cString(unit.source),
        cString(`${unit.label}.cu`),
        texts.length,
        sources,
        includeNames,
      ),
      doing,
    );
    try {
      const result = await this.symbols.nvrtcCompileProgram(handle[0], optionTexts.length, options);
      const log = this.#read(handle[0], "nvrtcGetProgramLogSize", "nvrtcGetProgramLog", doing);
      if (result !== 0) throw this.#buildError(unit, result, textOf(log));
      return { cubin: this.#read(handle[0], "nvrtcGetCUBINSize", "nvrtcGetCUBIN", doing), log: textOf(log) };
    } finally {
      this.symbols.nvrtcDestroyProgram(handle);
      keepAlive(texts, names, optionTexts);
    }
  }

  #buildError(unit: CompileUnit, result: number, log: string): BuildError {
    const lines = log.split("\n");
    const cause = lines.find((line) => /\berror\b|fatal/i.test(line)) ?? this.#errorText(result);
    const missing = log.match(/cannot open source file "([^"]+)"/)?.[1];
    const searched = missing && this.includes.length === 0
      ? `\nCUDA's headers were found in none of\n${searchedIncludes().map((folder) => `  ${folder}`).join("\n")}`
      : "";
    const what = result === COMPILATION ? cause.trim() : `${this.#errorText(result)}, ${cause.trim()}`;
    const context = `NVRTC ${this.version}, ${unit.options.join(" ")}`;
    return new BuildError(`Cannot compile ${unit.label}: ${what}\n${context}\n${log.trim()}${searched}`);
  }

  #read(
    program: bigint,
    size: "nvrtcGetProgramLogSize" | "nvrtcGetCUBINSize",
    get: "nvrtcGetProgramLog" | "nvrtcGetCUBIN",
    doing: string,
  ): Uint8Array<ArrayBuffer> {
    const length = new BigUint64Array(new ArrayBuffer(8));
    this.#check(this.symbols[size](program, length), doing);
    const bytes = stableBytes(Number(length[0]));
    if (bytes.length > 0) this.#check(this.symbols[get](program, bytes), doing);
    return bytes;
  }

  #check(result: number, doing: string): void {
    if (result !== 0) throw new Error(`Cannot ${doing}: ${this.#errorText(result)} (${result})`);
  }

  #errorText(result: number): string {
    const text = this.symbols.nvrtcGetErrorString(result);
    return text ? Deno.UnsafePointerView.getCString(text) : `NVRTC's error ${result}`;
  }
}

/** Marks the end of the time for which native code may hold these values' addresses. */
function keepAlive(..._values: readonly unknown[]): void {}
