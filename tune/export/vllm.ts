/**
 * vLLM: MLA decode on its TRITON_MLA and FLASH_ATTN_MLA backends (vllm/v1/attention/backends/mla/).
 *
 * TRITON_MLA chooses its number of splits in its source. FLASH_ATTN_MLA, which reads 16-bit caches on Hopper only, has a
 * bound on splits that can be set; it is used under full CUDA graphs.
 *
 * @module
 */
import type { Results } from "../../results/mod.ts";
import type { ExportRow } from "./rows.ts";
import { capOf, type Server, type ServerSettings } from "./server.ts";

const MLA = "https://github.com/vllm-project/vllm/tree/main/vllm/v1/attention/backends/mla";
const BACKENDS = "https://docs.vllm.ai/en/latest/design/attention_backends/";

/** vLLM. */
export const vllm: Server = {
  title: "vLLM, vllm serve",
  settings,
  constants: {
    names: ["BLOCK_N", "num_stages", "num_warps", "BLOCK_H"],
    file: "vllm/v1/attention/ops/triton_decode_attention.py",
  },
  switches: [
    {
      name: "--attention-backend NAME",
      does: "TRITON_MLA reads FP8 and 16-bit caches on any GPU; FLASH_ATTN_MLA 16-bit caches on Hopper",
      source: BACKENDS,
    },
    {
      name: "--attention-config.flash_attn_max_num_splits_for_cuda_graph N",
      does:
        "the most splits of FLASH_ATTN_MLA under full CUDA graphs (32 where not given); TRITON_MLA does not read it",
      source: `https://docs.vllm.ai/en/latest/api/vllm/config/attention/, ${MLA}/flashattn_mla.py`,
    },
    {
      name: "--kv-cache-dtype",
      does: "how the cache is stored",
      source: "https://docs.vllm.ai/en/latest/cli/serve/",
    },
    {
      name: "VLLM_BATCH_INVARIANT=1 (environment)",
      does: "one split whatever the context: the only way to set TRITON_MLA's number of splits from outside",
      source: `${MLA}/triton_mla.py`,
    },
  ],
  notes: ({ backend }) => [
    "TRITON_MLA's number of splits has no flag: it is 4, or in newer releases computed from the length and the SM count.",
    "To use a tuned cap there, patch num_kv_splits in triton_mla.py.",
    ...(backend === "triton"
      ? []
      : [`Tuned with kvtune's ${backend} kernel, which is not vLLM's: measure before you patch.`]),
  ],
};

function settings({ device, problem }: Results, { contextLen, config }: ExportRow): ServerSettings {
  const length = ["--max-model-len", String(contextLen)];
  const cap = capOf(config);
  if (problem.kvType !== "fp8_e4m3" && device.arch === "sm_90") {
    return {
      flags: [
        ...["--attention-backend", "FLASH_ATTN_MLA", ...length],
        ...["--attention-config.flash_attn_max_num_splits_for_cuda_graph", String(cap)],
      ],
      effect: `${cap} splits at most under full CUDA graphs, in place of 32`,
    };
  }
  const dtype = problem.kvType === "fp8_e4m3" ? ["--kv-cache-dtype", "fp8_e4m3"] : [];
  return {
    flags: ["--attention-backend", "TRITON_MLA", ...dtype, ...length],
    effect: `the kernel that the cap is for; the cap itself (${cap}) cannot be set`,
  };
}
