/**
 * MLA decode on WebGPU: the two passes of a config, their buffers and launches.
 *
 * @module
 */
import type { BufferSpec, DeviceInfo, WebGpuPass, WebGpuProgram } from "../../devices/device.ts";
import type { Implementation } from "../../kernel.ts";
import { cCode } from "../../source_code.ts";
import type { Config } from "../../space.ts";
import { expandWgsl, type TemplateValues } from "../../wgsl_template.ts";
import { ELEMENT_BYTES, type MlaDecodeProblem } from "../problem.ts";
import { type Geometry, geometry } from "./geometry.ts";
import { type Schedule, scheduleOf, workspaceBytes } from "./schedule.ts";
import { baseline, space } from "./space.ts";
import decode from "./decode.wgsl" with { type: "text" };
import { estimateWebGpuUs } from "./cost_model.ts";
import stage1 from "./stage1.wgsl" with { type: "text" };
import stage2 from "./stage2.wgsl" with { type: "text" };

/** MLA decode in WGSL. */
export const webgpuMlaDecode: Implementation<MlaDecodeProblem> = {
  space,
  baseline,
  workspaceBytes: (problem, config, device) => workspaceBytes(problem, scheduleOf(problem, config, device.smCount)),
  program,
  estimateUs: estimateWebGpuUs,
  sources: () => [decode, stage1, stage2].map(cCode),
};

/** E4M3 is decoded to its value / 256 (stage1.wgsl); scales make up for it. */
const DECODE_SCALE = { fp8_e4m3: 256, f16: 1, bf16: 1 };

function program(problem: MlaDecodeProblem, config: Config, device: DeviceInfo): WebGpuProgram {
  const { heads, latent, batch, ioType } = problem;
  const g = geometry(problem, config);
  const schedule = scheduleOf(problem, config, device.smCount);
  const rows = batch * schedule.maxSplits * heads;
  const values = templateValues(problem, g);
  const buffers: BufferSpec[] = [
    params(problem, schedule),
    { name: "chunks", bytes: batch * 4, data: Uint32Array.from(schedule.chunks) },
    { name: "partial", bytes: rows * latent * 4 },
    { name: "partial_lse", bytes: rows * 4 },
    { name: "out", bytes: batch * heads * latent * ELEMENT_BYTES[ioType] },
    { name: "lse", bytes: batch * heads * 4 },
  ];
  const passes: WebGpuPass[] = [
    {
      label: "stage1",
      source: (g.accF16 ? "enable f16;\n" : "") + expandWgsl(decode + stage1, values),
      entryPoint: "stage1",
      bindings: ["params", "q", "cache", "kv_indptr", "kv_indices", "chunks", "partial", "partial_lse"],
      workgroups: [Math.ceil(heads / g.BLOCK_H), schedule.maxSplits, batch],
    },
    {
      label: "stage2",
      source: expandWgsl(stage2, values),
      entryPoint: "stage2",
      bindings: [
        "params",
        "kv_indptr",
        "chunks",
        "partial",
        "partial_lse",
        "out",
        "lse",
        ...(problem.sinks ? ["sinks"] : []),
      ],
      workgroups: [g.V_QUADS / g.MERGE_X, heads, batch],
    },
  ];
  return {
    backend: "webgpu",
    buffers,
    passes,
    outputs: [
      { name: "out", type: ioType, shape: [batch, heads, latent] },
      { name: "lse", type: "f32", shape: [batch, heads] },
    ],
  };
}

/** What the sources do not depend on, so that scales, lengths, batch and cap share a compiled program. */
function params(
  { heads, batch, kvType, kvScale, smScale, logitCap }: MlaDecodeProblem,
  schedule: Schedule,
): BufferSpec {
  const scale = kvScale * DECODE_SCALE[kvType];
  const data = new Uint32Array(8);
  const floats = new Float32Array(data.buffer);
  data[0] = heads;
  data[1] = schedule.maxSplits;
  floats[2] = smScale * scale;
  floats[3] = scale;
  floats[4] = logitCap;
  data[5] = batch;
  return { name: "params", bytes: data.byteLength, data };
}

function templateValues({ kvType, ioType, logitCap, sinks }: MlaDecodeProblem, g: Geometry): TemplateValues {
  const { accF16, ...numbers } = g;
  return {
    ...numbers,
    ACC_F16: accF16,
    WEIGHT_VEC: accF16 ? "vec4<f16>" : "vec4f",
    KV_FP8: kvType === "fp8_e4m3",
    KV_F16: kvType === "f16",
    KV_BF16: kvType === "bf16",
    IO_F32: ioType === "f32",
    IO_F16: ioType === "f16",
    IO_BF16: ioType === "bf16",
    Q_QUAD: ioType === "f32" ? "vec4f" : "vec2u",
    OUT_QUAD: ioType === "f32" ? "vec4f" : "vec2u",
    LOGIT_CAP: logitCap !== 0,
    SINKS: sinks,
  };
}
