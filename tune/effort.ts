/**
 * What measuring a candidate would cost, learned from what measuring others has: one whose programs are compiled already is
 * cheap.
 *
 * @module
 */
import type { Program } from "../kernels/devices/device.ts";
import { type Config, configKey, type Space } from "../kernels/space.ts";

/** A candidate that has to be compiled costs so many others until both are known. */
const ASSUMED = 2;

/** And this many at the most: a compiler's first run tells little of the next. */
const MOST = 8;

/** Candidates of either kind before their times count. */
const ENOUGH = 3;

/** The effort of candidates of one problem. */
export class Effort {
  readonly #unitsOf: (config: Config) => readonly string[];
  readonly #compiled = new Set<string>();
  /** Units by program: configs that differ in cheap parameters alone share theirs. */
  readonly #known = new Map<string, readonly string[]>();
  readonly #cheap: ReadonlySet<string>;
  readonly #fresh = { count: 0, ms: 0 };
  readonly #reused = { count: 0, ms: 0 };

  /** @param program The program of a config. */
  constructor({ params }: Space, program: (config: Config) => Program) {
    this.#cheap = new Set(params.filter(({ recompiles }) => !recompiles).map(({ name }) => name));
    this.#unitsOf = (config) => unitsOf(program(config));
  }

  /** What the config would cost, as a multiple of one that needs no compile. */
  of(config: Config): number {
    const units = this.#units(config);
    const missing = units.filter((unit) => !this.#compiled.has(unit)).length;
    return 1 + (this.#ratio() - 1) * missing / units.length;
  }

  /** Hears that a config was compiled. @returns How many of its units were not before. */
  compile(config: Config): number {
    const before = this.#compiled.size;
    for (const unit of this.#units(config)) this.#compiled.add(unit);
    return this.#compiled.size - before;
  }

  /** Hears what measuring a config took; `fresh` where it had to be compiled. */
  spent(ms: number, fresh: boolean): void {
    const kind = fresh ? this.#fresh : this.#reused;
    kind.count++;
    kind.ms += ms;
  }

  #ratio(): number {
    const [fresh, reused] = [this.#fresh, this.#reused];
    if (fresh.count < ENOUGH || reused.count < ENOUGH) return ASSUMED;
    return Math.min(MOST, Math.max(1, (fresh.ms / fresh.count) / (reused.ms / reused.count)));
  }

  #units(config: Config): readonly string[] {
    const key = configKey(Object.fromEntries(Object.entries(config).filter(([name]) => !this.#cheap.has(name))));
    let units = this.#known.get(key);
    if (!units) {
      try {
        units = this.#unitsOf(config);
      } catch { // Why there is no program is told when the config is tried.
        units = [key];
      }
      this.#known.set(key, units);
    }
    return units;
  }
}

/** What a program has compiled, each unit by a text that equal units share. */
function unitsOf(program: Program): string[] {
  if (program.backend === "webgpu") return program.passes.map(({ source }) => source);
  if (program.backend === "triton") {
    // A kernel's constants have names in capitals; what a call is given may all be constants of what it launches.
    return program.launches.map(({ module, function: name, args, grid, options }) => {
      const constants = Object.entries(args).filter(([arg, value]) =>
        "value" in value && (!grid || arg === arg.toUpperCase())
      );
      return `${module} ${name} ${JSON.stringify([constants, options])}`;
    });
  }
  return program.launches.map(({ entryPoint, defines }) => `${entryPoint} ${JSON.stringify(defines)}`);
}
