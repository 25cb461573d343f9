/**
 * Machine code that is loaded on a device: programs with equal code share it, and a sweep over values that need no
 * compile finds it still loaded.
 *
 * @module
 */
import type { CompiledUnit } from "./compiler.ts";
import type { Context } from "./context.ts";

/** Libraries that stay loaded although no program uses them. */
const KEPT = 16;

interface Loaded {
  readonly handle: bigint;
  users: number;
}

/** The loaded code of one device. */
export class Libraries {
  /** Least recently taken first. */
  readonly #loaded = new Map<string, Loaded>();

  constructor(readonly context: Context) {}

  /** The library of a unit, loaded where it is not. Each taking needs one {@linkcode release}. */
  take(unit: CompiledUnit, what: string): bigint {
    const loaded = this.#loaded.get(unit.key) ?? { handle: this.context.loadLibrary(unit.cubin, what), users: 0 };
    loaded.users++;
    this.#loaded.delete(unit.key);
    this.#loaded.set(unit.key, loaded);
    return loaded.handle;
  }

  release(key: string): void {
    const loaded = this.#loaded.get(key);
    if (loaded) loaded.users--;
    const idle = [...this.#loaded].filter(([, { users }]) => users === 0);
    for (const [key] of idle.slice(0, Math.max(idle.length - KEPT, 0))) this.#unload(key);
  }

  /** Unloads all. No program may be in use. */
  close(): void {
    for (const key of [...this.#loaded.keys()]) this.#unload(key);
  }

  #unload(key: string): void {
    this.context.unloadLibrary(this.#loaded.get(key)!.handle);
    this.#loaded.delete(key);
  }
}
