/**
 * SGLang's Triton attention backend, as of its pull request 20479, which gave MLA decode its cap on splits:
 * python/sglang/srt/layers/attention/triton_backend.py.
 *
 * For MLA the server's cap is `max(N, min(pow2ceil(SMs), pow2ceil(ceil(L / 32))))`, where N is
 * `--triton-attention-num-kv-splits` and L its context length: N can raise the cap and never lowers it. A split tile size
 * T replaces that cap by `ceil(L / T)`, in which a cap below the formula's can be had.
 *
 * @module
 */
import { kvSplitsCap, SERVED_BASE_CAP } from "../../kernels/mla_decode/kv_splits.ts";
import type { Results } from "../../results/mod.ts";
import type { ExportRow } from "./rows.ts";
import { capOf, type Server, type ServerSettings } from "./server.ts";

const BACKEND = "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/layers/attention/triton_backend.py";
const ARGUMENTS = "https://docs.sglang.io/advanced_features/server_arguments.html";

/** SGLang. */
export const sglang: Server = {
  title: "SGLang, --attention-backend triton",
  settings,
  constants: {
    names: ["BLOCK_N", "num_stages", "num_warps", "BLOCK_H"],
    file: "python/sglang/srt/layers/attention/triton_ops/decode_attention.py",
  },
  switches: [
    {
      name: "--triton-attention-num-kv-splits N",
      does:
        "the base of the cap (8 where not given): the cap is the larger of N and min(pow2ceil(SMs), pow2ceil(L / 32))",
      source: BACKEND,
    },
    {
      name: "--triton-attention-split-tile-size T",
      does: "makes the cap ceil(L / T) instead, for L the context length: the only way below the formula's cap",
      source: `${BACKEND}, https://github.com/sgl-project/sglang/pull/10425`,
    },
    {
      name: "--context-length L",
      does: "the longest context that the server admits: both caps are computed from it",
      source: ARGUMENTS,
    },
    { name: "--kv-cache-dtype", does: "how the cache is stored", source: ARGUMENTS },
    {
      name: "SGLANG_TRITON_DECODE_ATTN_STATIC_KV_SPLITS=true (environment)",
      does: "gives every request exactly the cap; otherwise a heuristic gives it so many splits or fewer",
      source: BACKEND,
    },
  ],
  notes: ({ backend }) => [
    "One server has one cap, whatever the length of a request: take the flags of the longest context that matters.",
    "On ROCm the base is 16 whatever is given, and on gfx942 no cap is above 256.",
    ...(backend === "triton" ? [] : [
      `Tuned with kvtune's ${backend} kernel, which is not SGLang's: take the cap as a candidate, and measure it.`,
    ]),
  ],
};

function settings({ device, problem }: Results, { contextLen, config }: ExportRow): ServerSettings {
  const cap = capOf(config);
  const served = kvSplitsCap(SERVED_BASE_CAP, device.smCount, contextLen);
  const flags = [
    "--attention-backend",
    "triton",
    ...kvCacheFlags(problem.kvType),
    "--context-length",
    String(contextLen),
  ];
  if (cap === served) return { flags, effect: `a cap of ${cap}, which is the server's own at this context length` };
  if (cap > served) {
    return {
      flags: [...flags, "--triton-attention-num-kv-splits", String(cap)],
      effect: `a cap of ${cap} in place of ${served}`,
    };
  }
  const tile = Math.ceil(contextLen / cap);
  const had = Math.ceil(contextLen / tile);
  return {
    flags: [...flags, "--triton-attention-split-tile-size", String(tile)],
    effect: `a cap of ${had} in place of ${served}${had === cap ? "" : ` (${cap} cannot be had)`}`,
  };
}

function kvCacheFlags(kvType: unknown): string[] {
  // f16 is what a half-precision model's cache is by itself.
  return kvType === "fp8_e4m3" || kvType === "bf16" ? ["--kv-cache-dtype", kvType] : [];
}
