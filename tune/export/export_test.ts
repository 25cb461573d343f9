import { deepStrictEqual, match, strictEqual, throws } from "node:assert";
import { kvSplitsCap } from "../../kernels/mla_decode/kv_splits.ts";
import { type Config, type Results } from "../../results/mod.ts";
import { sampleResults } from "../../results/testing/samples.ts";
import { csvText, envText, jsonText, shellWord } from "./data.ts";
import { exportRows } from "./rows.ts";
import { flagsText } from "./server.ts";
import { sglang } from "./sglang.ts";
import { vllm } from "./vllm.ts";

const withCap = (cap: number, contextLen = 32_768): Results =>
  sampleResults([[132, contextLen]], { BLOCK_N: 64, num_stages: 3, max_kv_splits: cap });

/** The cap that SGLang computes from its flags: triton_backend.py, `_mla_decode_kv_splits_cap` and what follows. */
function servedCap(flags: readonly string[], smCount: number): number {
  const value = (name: string) => flags.includes(name) ? Number(flags[flags.indexOf(name) + 1]) : undefined;
  const length = value("--context-length")!;
  const tile = value("--triton-attention-split-tile-size");
  if (tile !== undefined) return Math.floor((length + tile - 1) / tile);
  return kvSplitsCap(value("--triton-attention-num-kv-splits") ?? 8, smCount, length);
}

Deno.test("SGLang's flags make it compute the tuned cap, above its own formula and below", () => {
  for (const contextLen of [1000, 1024, 32_768, 131_072]) {
    for (const cap of [1, 2, 8, 31, 32, 33, 66, 132, 256, 264, 500]) {
      const results = withCap(cap, contextLen);
      const { flags, effect } = sglang.settings(results, exportRows(results, {})[0]);
      const had = servedCap(flags, 132);
      // A tile is a whole number of tokens: the cap is had where the length allows it, and never overrun.
      if (effect.includes("cannot be had")) strictEqual(effect.startsWith(`a cap of ${had} in place`), true, effect);
      else strictEqual(had, cap, `${contextLen}: ${flags.join(" ")}`);
      strictEqual(had <= cap, true, `${contextLen}: ${had} for ${cap}`);
    }
  }
});

Deno.test("SGLang's flags leave the cap alone where the tuned one is its own", () => {
  deepStrictEqual(
    flagsText(sglang, withCap(256), exportRows(withCap(256), {})),
    "--attention-backend triton --kv-cache-dtype fp8_e4m3 --context-length 32768\n",
  );
});

Deno.test("vLLM's flags set splits only where its backend reads them", () => {
  const fp8 = withCap(33);
  match(flagsText(vllm, fp8, exportRows(fp8, {})), /TRITON_MLA --kv-cache-dtype fp8_e4m3 --max-model-len 32768\n$/);
  const bf16 = { ...fp8, problem: { ...fp8.problem, kvType: "bf16" } };
  match(flagsText(vllm, bf16, exportRows(bf16, {})), /FLASH_ATTN_MLA .*max_num_splits_for_cuda_graph 33\n$/);
  const ampere = { ...bf16, device: { ...bf16.device, arch: "sm_80" } };
  match(flagsText(vllm, ampere, exportRows(ampere, {})), /--attention-backend TRITON_MLA --max-model-len 32768\n$/);
});

Deno.test("exportRows() looks up contexts that were not measured, and names the SM counts that were", () => {
  const results = sampleResults([[132, 1024], [64, 4096]]);
  deepStrictEqual(exportRows(results, {}).map(({ contextLen }) => contextLen), [1024]);
  const [near] = exportRows(results, { contexts: [1500] });
  deepStrictEqual([near.match, near.from, near.evidence?.us], ["nearest", { smCount: 132, contextLen: 1024 }, 20]);
  throws(
    () => exportRows(results, { smCount: 7 }),
    /for 7 SMs: nothing was measured there; expected --sm-count of 64, 132/,
  );
});

Deno.test("CSV, JSON and env have the same config, whatever its texts are", () => {
  const config: Config = { BLOCK_N: 32, note: 'say "a,b"\n$(rm -rf /) it\'s' };
  const results = { ...sampleResults([[132, 1024]], config), kernel: "mine" };
  const rows = exportRows(results, {});
  deepStrictEqual(JSON.parse(jsonText(rows))[0].config, config);
  match(csvText(rows), /,32,"say ""a,b""\n\$\(rm -rf \/\) it's",132,1024,20,30,1.5\r\n$/);
  strictEqual(envText(results, rows).split("\n")[2], "KVTUNE_BLOCK_N=32");
  match(envText(results, rows), /KVTUNE_NOTE='say "a,b"\n\$\(rm -rf \/\) it'\\''s'\n$/);
});

Deno.test("a device's name cannot end a comment", () => {
  const results = sampleResults();
  const named = { ...results, device: { ...results.device, name: "x\nexport PATH=/evil" } };
  match(envText(named, exportRows(named, {})), /^# mla_decode on x export PATH=\/evil \(cuda\)/);
});

Deno.test("shellWord() is one word with the same text for a shell", () => {
  strictEqual(shellWord("--a=b/c.json"), "--a=b/c.json");
  strictEqual(shellWord(""), "''");
  strictEqual(shellWord("it's $HOME"), "'it'\\''s $HOME'");
});
