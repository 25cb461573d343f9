/**
 * What NVML says of a card while it is measured: clocks, power, temperature, what holds its clocks back, and who else
 * uses it. It is only read, never set, and a machine without it is fine.
 *
 * @module
 */
import type { DeviceReadings } from "../device.ts";
import { nvmlPaths, openLibrary } from "./discovery.ts";
import { cString, textOf } from "./layouts.ts";
import { NVML_SYMBOLS } from "./nvml_symbols.ts";

/** nvmlClockType_t. */
const CLOCK = { sm: 1, memory: 2 } as const;
const TEMPERATURE_GPU = 0;
/** nvmlProcessInfo_v2_t: pid, used memory, two instance ids. */
export const PROCESS_INFO = { size: 24, usedGpuMemory: 8 } as const;
const MAX_PROCESSES = 64;

/** nvmlClocksEventReason…, in words. Idle (1) is no reason to doubt a measurement. */
const REASONS: readonly (readonly [bit: bigint, words: string, held: boolean])[] = [
  [0x1n, "idle", false],
  [0x2n, "clocks set by an application", false],
  [0x4n, "power cap", true],
  [0x8n, "hardware slowdown", true],
  [0x10n, "synchronised with slower cards", true],
  [0x20n, "thermal slowdown by software", true],
  [0x40n, "thermal slowdown by hardware", true],
  [0x80n, "power brake by hardware", true],
  [0x100n, "display clocks", true],
  [0x200n, "board limit", true],
  [0x400n, "reliability limit", true],
];

/** What holds the clocks, in words, and whether it slows them. Unknown bits keep their number. */
export function clockReasons(bits: bigint): { words: string[]; throttled: string[] } {
  const set = REASONS.filter(([bit]) => (bits & bit) !== 0n);
  const known = REASONS.reduce((sum, [bit]) => sum | bit, 0n);
  const rest = bits & ~known;
  const others = rest === 0n ? [] : [`reason 0x${rest.toString(16)}`];
  return {
    words: [...set.map(([, words]) => words), ...others],
    throttled: [...set.filter(([, , held]) => held).map(([, words]) => words), ...others],
  };
}

/** A process with work on the card. */
export interface GpuProcess {
  /** In the driver's own numbering, which is the host's: inside a container it differs from the process's own. */
  readonly pid: number;
  /** 0 where the driver does not say. */
  readonly usedBytes: number;
}

/** One card through NVML. */
export class Nvml {
  readonly #library: Deno.DynamicLibrary<typeof NVML_SYMBOLS>;
  readonly #handle: bigint;
  /** "580.95.05" */
  readonly driverVersion: string | undefined;
  #own: ReadonlySet<number> = new Set();

  private constructor(library: Deno.DynamicLibrary<typeof NVML_SYMBOLS>, pciBusId: string) {
    this.#library = library;
    const { nvmlInit_v2, nvmlSystemGetDriverVersion, nvmlDeviceGetHandleByPciBusId_v2 } = library.symbols;
    if (nvmlInit_v2?.() !== 0) throw new Error("Cannot initialise NVML");
    const handle = new BigUint64Array(new ArrayBuffer(8));
    const found = nvmlDeviceGetHandleByPciBusId_v2?.(cString(pciBusId), handle);
    if (found !== 0) throw new Error(`Cannot find the card at ${pciBusId} with NVML: error ${found}`);
    this.#handle = handle[0];
    const text = new Uint8Array(new ArrayBuffer(96));
    if (nvmlSystemGetDriverVersion?.(text, text.length) === 0) this.driverVersion = textOf(text);
  }

  /** The card at a PCI address, or undefined where NVML is not there or does not know it. */
  static find(pciBusId: string, paths: readonly string[] = nvmlPaths()): Nvml | undefined {
    let library: Deno.DynamicLibrary<typeof NVML_SYMBOLS> | undefined;
    try {
      library =
        openLibrary("NVML", paths.map((path) => ({ path })), NVML_SYMBOLS, "which NVIDIA's driver brings").library;
      return new Nvml(library, pciBusId);
    } catch {
      library?.close();
      return undefined;
    }
  }

  close(): void {
    this.#library.symbols.nvmlShutdown?.();
    this.#library.close();
  }

  /** Every process with compute work on the card, this one included. */
  processes(): GpuProcess[] {
    const count = new Uint32Array(new ArrayBuffer(4));
    count[0] = MAX_PROCESSES;
    const infos = new Uint8Array(new ArrayBuffer(MAX_PROCESSES * PROCESS_INFO.size));
    const list = this.#library.symbols.nvmlDeviceGetComputeRunningProcesses_v3;
    if (list?.(this.#handle, count, infos) !== 0) return [];
    const view = new DataView(infos.buffer);
    return Array.from({ length: count[0] }, (_, i) => {
      const used = view.getBigUint64(i * PROCESS_INFO.size + PROCESS_INFO.usedGpuMemory, true);
      const unknown = used >= 1n << 63n; // NVML_VALUE_NOT_AVAILABLE
      return { pid: view.getUint32(i * PROCESS_INFO.size, true), usedBytes: unknown ? 0 : Number(used) };
    });
  }

  /**
   * Says which processes are this one, by what was on the card before it was opened: inside a container the driver's
   * numbers are not ours.
   */
  claim(before: readonly GpuProcess[]): void {
    const now = this.processes().map(({ pid }) => pid);
    const known = new Set(before.map(({ pid }) => pid));
    this.#own = new Set(now.includes(Deno.pid) ? [Deno.pid] : now.filter((pid) => !known.has(pid)));
  }

  /** The card now. Call it while or just after something runs: an idle card's clocks say nothing. */
  readings(): DeviceReadings {
    const { symbols } = this.#library;
    const cell = new Uint32Array(new ArrayBuffer(4));
    const values: Record<string, number | string> = {};
    const read = (name: string, result: number | undefined, scale = 1) => {
      if (result === 0) values[name] = cell[0] * scale;
    };
    const name = new Uint8Array(new ArrayBuffer(96));
    if (symbols.nvmlDeviceGetName?.(this.#handle, name, name.length) === 0) values.name = textOf(name);
    if (this.driverVersion) values.driver = this.driverVersion;
    read("smClockMhz", symbols.nvmlDeviceGetClockInfo?.(this.#handle, CLOCK.sm, cell));
    read("maxSmClockMhz", symbols.nvmlDeviceGetMaxClockInfo?.(this.#handle, CLOCK.sm, cell));
    read("memoryClockMhz", symbols.nvmlDeviceGetClockInfo?.(this.#handle, CLOCK.memory, cell));
    read("maxMemoryClockMhz", symbols.nvmlDeviceGetMaxClockInfo?.(this.#handle, CLOCK.memory, cell));
    read("powerW", symbols.nvmlDeviceGetPowerUsage?.(this.#handle, cell), 1e-3);
    read("powerLimitW", symbols.nvmlDeviceGetEnforcedPowerLimit?.(this.#handle, cell), 1e-3);
    read("temperatureC", symbols.nvmlDeviceGetTemperature?.(this.#handle, TEMPERATURE_GPU, cell));
    const warnings: string[] = [];
    const reasons = symbols.nvmlDeviceGetCurrentClocksEventReasons ?? symbols.nvmlDeviceGetCurrentClocksThrottleReasons;
    const bits = new BigUint64Array(new ArrayBuffer(8));
    if (reasons?.(this.#handle, bits) === 0) {
      const { words, throttled } = clockReasons(bits[0]);
      values.clockReasons = words.join(", ");
      if (throttled.length > 0) warnings.push(`throttling: ${throttled.join(", ")}`);
    }
    const others = this.processes().filter(({ pid }) => !this.#own.has(pid));
    values.otherProcesses = others.length;
    if (others.length > 0) {
      const list = others.map(({ pid, usedBytes }) => `${pid} (${Math.round(usedBytes / 1e6)} MB)`).join(", ");
      warnings.push(`busy: other processes use the card: ${list}`);
    }
    return { values, warnings };
  }
}
