/**
 * MLA decode attention over a paged, quantised KV cache: its problems, inputs, reference and implementations.
 *
 * @module
 */
import type { Kernel } from "../kernel.ts";
import { cudaMlaDecode } from "./cuda/program.ts";
import { inputs } from "./inputs.ts";
import { maxContextLen, type MlaDecodeProblem, parseProblem, problemFields, problemName, work } from "./problem.ts";
import { reference } from "./reference.ts";
import { tritonMlaDecode } from "./triton/program.ts";
import { webgpuMlaDecode } from "./webgpu/program.ts";

/** MLA decode: one query token a request attends to its cached rows, of which each is key and value at once. */
export const mlaDecode: Kernel<MlaDecodeProblem> = {
  name: "mla_decode",
  parseProblem,
  problemName,
  problemFields,
  contextLen: maxContextLen,
  work,
  inputs,
  reference: (problem, tensors) => reference(problem, tensors),
  implementations: { webgpu: webgpuMlaDecode, cuda: cudaMlaDecode, triton: tritonMlaDecode },
};
