/**
 * Launches to machine code: equal units are compiled once, several at a time, and kept on disk.
 *
 * NVRTC parses one unit at a time whatever thread asks, and assembles several at once: large kernels gain from threads,
 * small ones hardly (seen on 16 cores: sixteen small units took 50 ms each, one alone 94 ms).
 *
 * @module
 */
import { BuildError, type CudaLaunch } from "../device.ts";
import { cacheKey, type CompileCache } from "./compile_cache.ts";
import type { Compiled, CompileUnit, Nvrtc } from "./nvrtc.ts";

/** What a launch needs compiled. */
export type LaunchSource = Pick<CudaLaunch, "label" | "source" | "headers" | "defines">;

/** A compiled unit, with the key that equal units share. */
export interface CompiledUnit extends Compiled {
  readonly key: string;
}

/** Units that are kept in memory: more than are prepared at a time, at some 100 kB each. */
const MOST_RECENT = 64;

/** Compiles for one device. */
export class Compiler {
  readonly #options: readonly string[];
  /** Underway or done: what was prepared is built soon after, also where no folder can keep it. */
  readonly #recent = new Map<string, Promise<CompiledUnit>>();
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /**
   * @param capability Compute capability, as [9, 0].
   * @param threads Compiles at a time.
   * @throws {RangeError} Where the compiler is older than the device.
   */
  constructor(
    readonly nvrtc: Nvrtc,
    capability: readonly [number, number],
    readonly cache: CompileCache,
    threads: number = navigator.hardwareConcurrency,
  ) {
    this.#options = nvrtc.options(...capability);
    this.#free = Math.max(threads, 1);
  }

  /**
   * The machine code of a launch.
   *
   * @throws {BuildError} Where it does not compile, with the whole log.
   */
  async compile(launch: LaunchSource): Promise<CompiledUnit> {
    const defines = Object.entries(launch.defines).map(([name, value]) => {
      if (!/^[A-Za-z_]\w*$/.test(name)) {
        throw new BuildError(`Cannot compile ${launch.label}: "${name}" is no macro's name`);
      }
      return `-D${name}=${value}`;
    });
    const { label, source, headers } = launch;
    const unit: CompileUnit = { label, source, headers, options: [...this.#options, ...defines.sort()] };
    const key = cacheKey(`NVRTC ${this.nvrtc.version}`, unit);
    let compiled = this.#recent.get(key);
    if (!compiled) {
      compiled = this.#compile(key, unit);
      this.#recent.set(key, compiled);
      if (this.#recent.size > MOST_RECENT) this.#recent.delete(this.#recent.keys().next().value!);
      compiled.catch(() => this.#recent.delete(key));
    }
    return await compiled;
  }

  async #compile(key: string, unit: CompileUnit): Promise<CompiledUnit> {
    const cached = await this.cache.get(key);
    if (cached) return { ...cached, key };
    while (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#free--;
    try {
      const compiled = await this.nvrtc.compile(unit);
      await this.cache.put(key, compiled);
      return { ...compiled, key };
    } finally {
      this.#free++;
      this.#waiting.shift()?.();
    }
  }
}
