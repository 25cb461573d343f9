/**
 * The Triton MLA decode of an installed SGLang or vLLM, as implementations of their own: `installed.py` launches it.
 *
 * @module
 */
import type { BufferSpec, DeviceInfo, TritonArg, TritonProgram } from "../../devices/device.ts";
import type { Implementation, Kernel, SpaceOptions } from "../../kernel.ts";
import { pythonCode } from "../../source_code.ts";
import type { Config, Constraint, Space } from "../../space.ts";
import { kvSplitsCap, SERVED_BASE_CAP, servedKvSplits, splitCandidates, splitLength } from "../kv_splits.ts";
import { ELEMENT_BYTES, maxContextLen, type MlaDecodeProblem } from "../problem.ts";
import { accumulatorRegisters } from "./geometry.ts";
import installed from "./installed.py" with { type: "text" };

/** Servers whose kernel can be tuned. */
export type Server = "sglang" | "vllm";
/** Servers whose kernel can be tuned. */
export const SERVERS: readonly Server[] = ["sglang", "vllm"];

/** Path of the Python that launches the installed kernels. */
export const INSTALLED = new URL("./installed.py", import.meta.url).pathname;

/** vLLM's number of splits, whatever the lengths (`num_kv_splits` in its Triton MLA backend). */
const VLLM_SPLITS = 4;
const MOST_SPLITS = 1024;

const number = (config: Config, name: string) => config[name] as number;

/** A kernel in the form that a server has it: the same problems and reference, another implementation. */
export function installedKernel(kernel: Kernel<MlaDecodeProblem>, server: Server): Kernel<MlaDecodeProblem> {
  return {
    ...kernel,
    name: `${kernel.name}_${server}`,
    // SGLang rounds probabilities to the cache's type: over an FP8 cache that is its class, and there is no other.
    parseProblem: (json) => {
      const problem = kernel.parseProblem(json);
      const accuracy = server === "sglang" && problem.kvType === "fp8_e4m3" ? "fp8_p" : "standard";
      return { ...problem, accuracy };
    },
    implementations: { triton: implementation(server) },
  };
}

function implementation(server: Server): Implementation<MlaDecodeProblem> {
  return {
    problemDefaults: { ioType: "bf16" },
    space: (problem, device, options) => space(server, problem, device, options),
    baseline: (problem, device) => baseline(server, problem, device),
    workspaceBytes,
    program: (problem, config, device) => program(server, problem, config, device),
    sources: () => [pythonCode(installed)],
  };
}

/** The server's own constants, cap and heuristic. */
function baseline(server: Server, problem: MlaDecodeProblem, { smCount }: DeviceInfo): Config {
  const cap = kvSplitsCap(SERVED_BASE_CAP, smCount, maxContextLen(problem));
  return {
    BLOCK_N: 32,
    BLOCK_H: 16,
    num_stages: 2,
    num_warps: 4,
    merge_warps: 4,
    max_kv_splits: server === "vllm" ? VLLM_SPLITS : cap,
  };
}

function workspaceBytes({ batch, heads, latent }: MlaDecodeProblem, config: Config): number {
  return batch * heads * number(config, "max_kv_splits") * (latent + 1) * 4;
}

function space(server: Server, problem: MlaDecodeProblem, device: DeviceInfo, options: SpaceOptions = {}): Space {
  const { heads, latent, rope, batch, kvType, ioType, contextLens } = problem;
  const maxWorkspace = options.maxWorkspaceBytes ?? device.limits.memoryBytes;
  const most = Math.max(1, Math.min(MOST_SPLITS, Math.ceil(maxContextLen(problem) / 32)));
  const items = [16, 32, 64].map((block) => Math.ceil(heads / block) * batch);
  const more = [baseline(server, problem, device).max_kv_splits as number];
  const rule = (name: string, reason: string, holds: (config: Config) => boolean): Constraint => (
    { name, reason, holds }
  );
  const constraints: Constraint[] = [
    rule(
      "problem",
      `${server} decodes 512 + 64 or 256 + 32 wide rows of bf16 or f16 queries: ${latent} + ${rope} of ${ioType}`,
      () => (latent === 512 && rope === 64 || latent === 256 && rope === 32) && ioType !== "f32",
    ),
    rule(
      "heads",
      "the grouped kernel is for more than one head",
      () => heads > 1,
    ),
    rule(
      "lengths",
      "servers decode requests of one token or more; vLLM's page table here is for requests of one length",
      () => contextLens.every((length) => length > 0 && (server === "sglang" || length === contextLens[0])),
    ),
    rule(
      "8-bit products",
      "SGLang multiplies probabilities and values in the cache's type, which takes 32 tokens a tile in 8 bits",
      (config) => server !== "sglang" || kvType !== "fp8_e4m3" || number(config, "BLOCK_N") >= 32,
    ),
    rule(
      "heads a block",
      `no block more than half empty: ${heads} heads`,
      (config) =>
        config.BLOCK_H === 16 ||
        Math.ceil(heads / number(config, "BLOCK_H")) * number(config, "BLOCK_H") < heads * 1.5 + 1,
    ),
    rule(
      "registers",
      "a thread holds at most 128 values of the output",
      (config) => accumulatorRegisters(problem, config) <= 128,
    ),
    rule(
      "workspace",
      `partials take ${maxWorkspace} bytes at most`,
      (config) => workspaceBytes(problem, config) <= maxWorkspace,
    ),
  ];
  return {
    params: [
      { name: "BLOCK_N", values: [16, 32, 64, 128], what: "tokens a tile", recompiles: true },
      { name: "BLOCK_H", values: [16, 32, 64], what: "query heads a block", recompiles: true },
      { name: "num_stages", values: [1, 2, 3, 4], what: "tiles in flight", recompiles: true },
      { name: "num_warps", values: [2, 4, 8], what: "warps a block of stage 1", recompiles: true },
      { name: "merge_warps", values: [1, 2, 4, 8], what: "warps a block of stage 2", recompiles: true },
      {
        name: "max_kv_splits",
        values: splitCandidates({ smCount: device.smCount, items, most, largestPower: 256, more }),
        what: server === "vllm" ? "splits of every request" : "the cap of the server's own heuristic",
        recompiles: true,
      },
    ],
    constraints,
  };
}

function program(server: Server, problem: MlaDecodeProblem, config: Config, device: DeviceInfo): TritonProgram {
  const { heads, latent, rope, batch, ioType, kvType, kvScale, smScale, logitCap, sinks, contextLens } = problem;
  const cap = number(config, "max_kv_splits");
  const splits = servedKvSplits({ contextLens, heads, smCount: device.smCount, cap });
  const used = contextLens.map((length, b) => Math.ceil(length / Math.max(1, splitLength(length, splits[b]))));
  const type = kvType === "fp8_e4m3" ? "e4m3" : kvType;
  const width = latent + rope;
  const slots = -1; // As many as there are.
  const constants: Record<string, TritonArg> = Object.fromEntries(
    ["BLOCK_N", "BLOCK_H", "num_stages", "num_warps", "merge_warps"].map((name) => [name, { value: config[name] }]),
  );
  const tensors: Record<string, TritonArg> = {
    q: { tensor: "q", type: ioType, shape: [batch, heads, width] },
    out: { tensor: "out", type: ioType, shape: [batch, heads, latent] },
    sm_scale: { f32: smScale },
    logit_cap: { f32: logitCap },
  };
  const buffers: BufferSpec[] = [
    { name: "attn_logits", bytes: batch * heads * cap * (latent + (server === "vllm" ? 1 : 0)) * 4 },
    { name: "out", bytes: batch * heads * latent * ELEMENT_BYTES[ioType] },
    { name: "lse", bytes: batch * heads * 4 },
  ];
  const outputs = [
    { name: "out", type: ioType, shape: [batch, heads, latent] },
    { name: "lse", type: "f32" as const, shape: [batch, heads] },
  ];
  const lse: TritonArg = { tensor: "lse", type: "f32", shape: [batch, heads] };
  const launch = { label: "decode", module: INSTALLED, function: server, options: {} };
  if (server === "vllm") {
    return {
      backend: "triton",
      buffers: [
        ...buffers,
        { name: "b_seq_len", bytes: batch * 4, data: Int32Array.from(contextLens) },
        { name: "k_scale", bytes: 4, data: Float32Array.of(kvScale) },
      ],
      launches: [{
        ...launch,
        args: {
          ...tensors,
          ...constants,
          lse,
          cache: { tensor: "cache", type, shape: [slots, 1, 1, width] },
          req_to_token: { tensor: "kv_indices", type: "i32", shape: [batch, contextLens[0]] },
          b_seq_len: { tensor: "b_seq_len", type: "i32" },
          attn_logits: { tensor: "attn_logits", type: "f32", shape: [batch, heads, cap, latent + 1] },
          k_scale: kvType === "fp8_e4m3" ? { tensor: "k_scale", type: "f32" } : { value: "" },
        },
      }],
      outputs,
    };
  }
  const attnLse: TritonArg = { tensor: "attn_lse", type: "f32", shape: [batch, heads, cap] };
  return {
    backend: "triton",
    buffers: [
      ...buffers,
      { name: "attn_lse", bytes: batch * heads * cap * 4 },
      { name: "num_kv_splits", bytes: batch * 4, data: Int32Array.from(splits) },
      { name: "used_splits", bytes: batch * 4, data: Int32Array.from(used) },
    ],
    launches: [
      {
        ...launch,
        args: {
          ...tensors,
          ...constants,
          cache: { tensor: "cache", type, shape: [slots, 1, width] },
          kv_indptr: { tensor: "kv_indptr", type: "i32" },
          kv_indices: { tensor: "kv_indices", type: "i32" },
          attn_logits: { tensor: "attn_logits", type: "f32", shape: [batch, heads, cap, latent] },
          attn_lse: attnLse,
          num_kv_splits: { tensor: "num_kv_splits", type: "i32" },
          kv_scale: { f32: kvScale },
          sinks: sinks ? { tensor: "sinks", type: "f32" } : { value: "" },
        },
      },
      {
        label: "lse",
        module: INSTALLED,
        function: "sglang_lse",
        args: { attn_lse: attnLse, used_splits: { tensor: "used_splits", type: "i32" }, lse },
        options: {},
        checkedOnly: true,
      },
    ],
    outputs,
  };
}
