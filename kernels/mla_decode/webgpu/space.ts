/**
 * What may be chosen for MLA decode on WebGPU, and which combinations are admitted.
 *
 * @module
 */
import type { DeviceInfo } from "../../devices/device.ts";
import type { SpaceOptions } from "../../kernel.ts";
import type { Config, Constraint, Param, ParamValue, Space } from "../../space.ts";
import { kvSplitsCap, SERVED_BASE_CAP, SERVED_GRANULE, splitCandidates } from "../kv_splits.ts";
import { cacheBytes } from "../inputs.ts";
import { maxContextLen, type MlaDecodeProblem } from "../problem.ts";
import { type Geometry, geometry, stage1Iterations, stage1Registers, stage1StorageBytes } from "./geometry.ts";
import { type Schedule, scheduleOf, workspaceBytes } from "./schedule.ts";

/** Registers of a thread at most: NVIDIA has 255, others fewer or as many. */
const MAX_REGISTERS = 250;
/** Mesa's llvmpipe ends all loops of an invocation, silently, after so many iterations in total. */
const LLVMPIPE_ITERATIONS = 65535;

/** Every admitted config of `problem` on `device`. */
export function space(problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions = {}): Space {
  return { params: params(problem, device), constraints: constraints(problem, device, options) };
}

/**
 * The served defaults: BLOCK_N 32, num_stages 2, 16 heads a block, the served cap and splits.
 *
 * Where the device's limits forbid that, the first of these that they allow: a smaller QK tile, fewer heads a block, one
 * stage, BLOCK_N 16. The config then shows it.
 */
export function baseline(problem: MlaDecodeProblem, device: DeviceInfo): Config {
  const smCount = device.smCount;
  const heads = Math.min(16, blockHeadsLimit(problem));
  const limits = constraints(problem, device, {}).filter(({ name }) => !["distinct splits", "stages"].includes(name));
  let first: Config | undefined;
  for (const BLOCK_N of [32, 16]) {
    for (const num_stages of [2, 1]) {
      for (const BLOCK_H of [16, 8, 4].filter((value) => value <= heads)) {
        for (const [qk_tile, slice_rounds] of [["8x4", 1], ["4x4", 1], ["4x4", 2], ["4x2", 1]] as const) {
          for (const merge_shape of ["32x8", "32x4", "16x4"]) {
            const config: Config = {
              BLOCK_N,
              num_stages,
              BLOCK_H,
              buffers: 1,
              threads: problem.latent / 4,
              qk_tile,
              slice_rounds,
              pv_quads: 1,
              ACC: "f32",
              merge_shape,
              schedule: "served",
              max_kv_splits: kvSplitsCap(SERVED_BASE_CAP, smCount, maxContextLen(problem)),
            };
            first ??= config;
            if (limits.every((constraint) => constraint.holds(config))) return config;
          }
        }
      }
    }
  }
  return first!;
}

function params(problem: MlaDecodeProblem, { software, smCount }: DeviceInfo): Param[] {
  const quads = problem.latent / 4;
  const pick = (hardware: ParamValue[], onSoftware: ParamValue[]) => software ? onSoftware : hardware;
  const param = (name: string, values: readonly ParamValue[], what: string, recompiles = true): Param => (
    { name, values, what, recompiles }
  );
  const blockHeads = [4, 8, 16, 32].filter((heads) => heads <= blockHeadsLimit(problem));
  return [
    param("BLOCK_N", [8, 16, 32, 64], "tokens a tile"),
    param(
      "num_stages",
      [1, 2, 3],
      "tiles in flight: one in workgroup storage, the rest in registers",
    ),
    param("BLOCK_H", blockHeads.slice(software ? -1 : -2), "heads that share a decoded tile"),
    param("buffers", pick([1, 2], [1]), "tiles that workgroup storage has room for"),
    param("threads", pick([quads, 2 * quads], [quads / 2, quads]), "threads a workgroup of stage 1"),
    param(
      "qk_tile",
      pick(["4x4", "4x8", "8x2", "8x4", "8x8", "16x2"], ["4x2", "4x4", "4x8"]),
      "heads x tokens a thread of QK",
    ),
    param(
      "slice_rounds",
      pick([1, 2], [1]),
      "rounds in which QK's slices are added: 2 take half the workgroup storage",
    ),
    param("pv_quads", [1, 2], "quads (4 widths) a thread of PV"),
    param("ACC", pick(["f32", "f16"], ["f32"]), "products and sums within a tile; f16 is flushed to f32 each tile"),
    param(
      "merge_shape",
      pick(["8x32", "16x16", "32x8"], ["32x8"]),
      "quads x segments of splits of stage 2",
    ),
    param(
      "schedule",
      problem.batch > 1 ? ["served", "wave"] : ["served"],
      "how requests are cut: as served, or in whole waves",
      false,
    ),
    param("max_kv_splits", caps(problem, smCount), "splits a request at most", false),
  ];
}

/** Fractions and multiples of the SM count, over all work items and over one request's; powers of two; the served cap. */
function caps(problem: MlaDecodeProblem, smCount: number): number[] {
  const longest = maxContextLen(problem);
  const most = Math.max(1, Math.ceil(longest / SERVED_GRANULE));
  const items = [1, problem.batch, problem.batch * Math.ceil(problem.heads / 16)];
  const served = kvSplitsCap(SERVED_BASE_CAP, smCount, longest);
  return splitCandidates({ smCount, items, most, largestPower: 512, more: [served] });
}

/** No more heads a block than there are, rounded up to a power of two, and 4 at least. */
function blockHeadsLimit({ heads }: MlaDecodeProblem): number {
  return Math.max(4, 2 ** Math.ceil(Math.log2(heads)));
}

function constraints(problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions): Constraint[] {
  const { limits, smCount } = device;
  const geometryOf = oncePerConfig((config) => geometry(problem, config));
  const schedules = memoised((config) => scheduleOf(problem, config, smCount), [
    "max_kv_splits",
    "schedule",
    "BLOCK_H",
  ]);
  const rule = (
    name: string,
    reason: string,
    holds: (g: Geometry, s: Schedule, config: Config) => boolean,
  ): Constraint => (
    { name, reason, holds: (config) => holds(geometryOf(config), schedules(config), config) }
  );
  const binding = limits.bindingBytes;
  const maxWorkspace = options.maxWorkspaceBytes ?? Infinity;
  return [
    rule("threads divide the work", "heads, tokens and widths divide evenly among threads", (g) => divides(g)),
    rule(
      "heads a block",
      `no more than the problem has, rounded up: ${blockHeadsLimit(problem)}`,
      (g) => g.BLOCK_H <= blockHeadsLimit(problem),
    ),
    rule(
      "workgroup storage",
      `tile, scores and weights fit ${limits.workgroupStorageBytes} bytes`,
      (g) => Math.max(stage1StorageBytes(g), g.MERGE_HALF * (g.MERGE_X * 16 + 8)) <= limits.workgroupStorageBytes,
    ),
    rule(
      "invocations",
      `a workgroup has at most ${limits.workgroupInvocations}`,
      (g) => Math.max(g.THREADS, g.MERGE_X * g.MERGE_S) <= Math.min(limits.workgroupInvocations, limits.workgroupSizeX),
    ),
    rule(
      "registers",
      `outputs, scores and rows in flight need at most ${MAX_REGISTERS} a thread`,
      (g) => stage1Registers(g) <= MAX_REGISTERS,
    ),
    rule(
      "f16 products",
      "ACC f16 needs the feature shader-f16",
      (g) => !g.accF16 || device.features.includes("shader-f16"),
    ),
    rule(
      "binding size",
      `the cache and the partial outputs each fit ${binding} bytes, so that indices fit 32 bits`,
      (_, s) => Math.max(cacheBytes(problem), workspaceBytes(problem, s)) <= Math.min(binding, limits.bufferBytes),
    ),
    rule(
      "workgroups",
      `at most ${limits.workgroupsPerDimension} splits or requests`,
      (_, s) => Math.max(s.maxSplits, problem.batch) <= limits.workgroupsPerDimension,
    ),
    rule(
      "workspace",
      `partial outputs take at most ${maxWorkspace} bytes`,
      (_, s) => workspaceBytes(problem, s) <= maxWorkspace,
    ),
    rule(
      "stages",
      "no more tiles in flight than the longest split has",
      (g, s) => g.NUM_STAGES === 1 || g.NUM_STAGES <= Math.ceil(longestSplit(problem, s) / g.BLOCK_N),
    ),
    rule(
      "llvmpipe loops",
      `llvmpipe ends all loops together after ${LLVMPIPE_ITERATIONS} iterations`,
      (g, s) =>
        !device.name.includes("llvmpipe") || stage1Iterations(g, longestSplit(problem, s)) < LLVMPIPE_ITERATIONS,
    ),
    distinctSplits(problem, device),
  ];
}

function divides(g: Geometry): boolean {
  const whole = [
    g.TOKEN_GROUPS / 4,
    g.HEAD_GROUPS,
    g.SLICES,
    g.SUMS,
    g.TOKENS_OWNED / 4,
    g.PV_STRIDE,
    g.PV_GROUPS,
    g.PV_H,
  ];
  return whole.every((value) => Number.isInteger(value) && value >= 1) && g.SLICES <= g.QUADS &&
    g.THREADS >= g.BLOCK_H &&
    Number.isInteger(g.V_QUADS / g.MERGE_X) && g.PV_STRIDE % 4 === 0;
}

function longestSplit({ contextLens }: MlaDecodeProblem, { chunks }: Schedule): number {
  return chunks.reduce((most, chunk, b) => Math.max(most, Math.min(chunk, contextLens[b])), 0);
}

/** Of caps and schedules that cut all requests alike, the first is admitted: the others are the same program. */
function distinctSplits(problem: MlaDecodeProblem, { smCount }: DeviceInfo): Constraint {
  const firsts = memoised((config) => {
    const first = new Map<string, string>();
    for (const schedule of ["served", "wave"]) {
      for (const cap of caps(problem, smCount)) {
        const chunks = scheduleOf(problem, { ...config, schedule, max_kv_splits: cap }, smCount).chunks.join();
        if (!first.has(chunks)) first.set(chunks, `${schedule} ${cap}`);
      }
    }
    return first;
  }, ["BLOCK_H"]);
  return {
    name: "distinct splits",
    reason: "a smaller cap or the served schedule cuts every request the same way",
    holds: (config) => {
      const first = firsts(config).get(scheduleOf(problem, config, smCount).chunks.join());
      return first === undefined || first === `${config.schedule} ${config.max_kv_splits}`;
    },
  };
}

/** Computes once for each combination of the named parameters. */
function memoised<T>(compute: (config: Config) => T, names: readonly string[]): (config: Config) => T {
  const known = new Map<string, T>();
  return (config) => {
    const key = names.map((name) => config[name]).join();
    if (!known.has(key)) known.set(key, compute(config));
    return known.get(key)!;
  };
}

/** Computes once for each config object: all constraints of one config share it. */
function oncePerConfig<T extends object>(compute: (config: Config) => T): (config: Config) => T {
  const known = new WeakMap<Config, T>();
  return (config) => {
    const value = known.get(config) ?? compute(config);
    known.set(config, value);
    return value;
  };
}
