/** Inputs and stored results for tests of any backend. */
import type { HostTensor } from "../devices/device.ts";
import { encodeE4M3 } from "../fp8.ts";
import { decodeBf16, decodeF16 } from "../half.ts";
import { type Config, type Evidence, parseResults, type Size, sizesOf } from "../../results/mod.ts";
import { mlaDecode } from "./kernel.ts";
import { type MlaDecodeProblem, parseProblem } from "./problem.ts";

/** Widths whose value is 1 in all tokens but the first. */
const SHOWN = 64;

/**
 * Inputs of an FP8 cache whose first token of each request has a logit of `gap` for head 0, where the others' are small: of
 * n tokens it takes 1 / (1 + n · e^-gap) of the weight, as trained models' first tokens do. Widths 0 to 63 are 1 in all
 * other tokens, so that weight which a kernel loses among these shows in its output.
 */
export function withFirstTokens(problem: MlaDecodeProblem, gap: number): HostTensor[] {
  const { heads, latent, rope, ioType, smScale } = problem;
  const decode = { f32: (x: number) => x, f16: decodeF16, bf16: decodeBf16 }[ioType];
  const width = latent + rope;
  const tensors = mlaDecode.inputs(problem, 1);
  const [q, cache, indptr, indices] = tensors.map(({ data }) => data as Uint16Array | Uint8Array | Int32Array);
  for (let row = 0; row < q.length; row += width) q.fill(0, row, row + SHOWN);
  for (let b = 0; b + 1 < indptr.length; b++) {
    for (let t = indptr[b]; t < indptr[b + 1]; t++) {
      cache.fill(encodeE4M3(1), indices[t] * width, indices[t] * width + SHOWN);
    }
    const query = Array.from({ length: width }, (_, w) => decode(q[b * heads * width + w]));
    const scale = gap / (query.reduce((sum, x) => sum + x * x, 0) * smScale);
    cache.set(query.map((x) => encodeE4M3(x * scale)), indices[indptr[b]] * width);
  }
  return tensors;
}

/** What `results/` has of NVIDIA's H200, size by size. */
export function* storedForH200(
  backend: string,
): Generator<Size & { name: string; problem: MlaDecodeProblem; config: Config; evidence: Evidence }> {
  const folder = new URL(`../../results/mla_decode/${backend}/nvidia-h200/`, import.meta.url);
  for (const { name } of Deno.readDirSync(folder)) {
    if (name === "index.json") continue;
    const { problem: stored, configs, evidence } = parseResults(Deno.readTextFileSync(new URL(name, folder)));
    const { name: _, ragged: __, ...fields } = stored;
    for (const { smCount, contextLen } of sizesOf(configs)) {
      const at = { config: configs[smCount][contextLen], evidence: evidence[smCount][contextLen] };
      yield { name, smCount, contextLen, problem: parseProblem({ ...fields, contextLens: contextLen }), ...at };
    }
  }
}
