import { deepStrictEqual, ok, strictEqual } from "node:assert";
import type { DeviceInfo } from "../../devices/device.ts";
import { brokenConstraint, combinations, type Config, sampleConfig } from "../../space.ts";
import { generator } from "../inputs.ts";
import { parseProblem } from "../problem.ts";
import { cutOf, sharedBytes, workspaceBytes } from "./geometry.ts";
import { baseline, space } from "./space.ts";

const H200: DeviceInfo = {
  backend: "triton",
  index: 0,
  name: "NVIDIA H200",
  arch: "sm_90",
  driver: "",
  smCount: 132,
  smCountSource: "driver",
  software: false,
  limits: { workgroupStorageBytes: 232448, memoryBytes: 140e9, computeCapability: 90 },
  features: ["e4m3", "pdl"],
};
const A10: DeviceInfo = {
  ...H200,
  arch: "sm_86",
  smCount: 72,
  limits: { workgroupStorageBytes: 101376, memoryBytes: 24e9, computeCapability: 86 },
  features: [],
};
const problem = (fields: Record<string, unknown>) => parseProblem({ contextLens: 32768, ioType: "bf16", ...fields });
const FAST = {
  ...{ BLOCK_N: 32, BLOCK_H: 16, num_stages: 2, num_warps: 4, pieces: 8, max_registers: 168, partials: "f16" },
  ...{ pdl: true, merge_splits: 64, merge_widths: 64, merge_warps: 4, max_kv_splits: 132 },
};
const broken = (config: Config, fields = {}, device = H200) =>
  brokenConstraint(space(problem(fields), device), config)?.name;

Deno.test("space() admits what is fast on an H200, and says why it refuses the rest", () => {
  strictEqual(broken(FAST), undefined);
  strictEqual(broken({ ...FAST, BLOCK_H: 64, BLOCK_N: 64, num_warps: 8, max_registers: 0 }, { heads: 128 }), undefined);
  strictEqual(broken({ ...FAST, BLOCK_H: 64, BLOCK_N: 64, num_warps: 8, max_registers: 0 }), "heads a block");
  strictEqual(broken({ ...FAST, BLOCK_H: 64, BLOCK_N: 64, max_registers: 0 }, { heads: 128 }), "matrix units");
  strictEqual(broken({ ...FAST, BLOCK_N: 16 }), "tokens a warp");
  strictEqual(broken({ ...FAST, num_stages: 1 }), "tiles in flight");
  strictEqual(broken({ ...FAST, num_warps: 2 }), "registers");
  strictEqual(broken({ ...FAST, BLOCK_N: 128, num_stages: 2 }), "shared memory");
  strictEqual(broken({ ...FAST, merge_splits: 256 }), "stage 2's tile");
  const groups = { ...FAST, groups: 4, pieces: 2 };
  strictEqual(broken(groups), undefined);
  strictEqual(broken({ ...groups, pieces: 8 }), "pieces");
  strictEqual(broken({ ...FAST, pieces: 2 }), "pieces");
  strictEqual(broken({ ...groups, BLOCK_N: 64 }), "groups");
  strictEqual(broken(groups, { kvType: "bf16" }), "groups");
  strictEqual(broken(FAST, { ioType: "f32" }), "io type");
  strictEqual(broken(FAST, { latent: 192 }), "widths");
  const fp8P = { accuracy: "fp8_p" };
  strictEqual(broken({ ...FAST, probabilities: "16bit" }, fp8P), undefined);
  strictEqual(broken({ ...FAST, probabilities: "e4m3" }, fp8P), undefined);
  strictEqual(broken({ ...FAST, groups: 4, pieces: 2, probabilities: "e4m3" }, fp8P), "groups");
  const narrow = { BLOCK_N: 16, num_warps: 2, max_registers: 0 };
  strictEqual(broken({ ...FAST, ...narrow, probabilities: "e4m3" }, fp8P), "fp8 products");
});

Deno.test("space() of a device without wide matrix units, PDL and E4M3 has none of them, and fits its shared memory", () => {
  const other = space(problem({ heads: 128 }), A10);
  const random = generator(3);
  let admitted = 0;
  for (let i = 0; i < 20000; i++) {
    const config = sampleConfig(other, () => random() / 2 ** 32);
    if (brokenConstraint(other, config)) continue;
    admitted++;
    ok(config.BLOCK_H !== 64 && config.pdl === false);
    ok(sharedBytes(problem({ heads: 128 }), config) <= 101376);
  }
  ok(admitted > 20, `${admitted} configs`);
  strictEqual(
    broken({ ...FAST, pdl: false, BLOCK_N: 32, probabilities: "e4m3" }, { accuracy: "fp8_p" }, A10),
    "fp8 products",
  );
});

Deno.test("space() bounds the workspace, which workspaceBytes() counts", () => {
  const big = problem({ heads: 128, batch: 128 });
  const config = { ...FAST, max_kv_splits: 256 };
  strictEqual(workspaceBytes(big, config), 128 * 128 * 256 * (512 * 2 + 4));
  strictEqual(brokenConstraint(space(big, H200, { maxWorkspaceBytes: 1e9 }), config)?.name, "workspace");
});

Deno.test("baseline() is what a server launches: its constants, its cap, its heuristic", () => {
  deepStrictEqual(baseline(problem({ heads: 16 }), H200), {
    path: "served",
    BLOCK_N: 32,
    BLOCK_H: 16,
    num_stages: 2,
    num_warps: 4,
    max_kv_splits: 256,
    partials: "f32",
    pdl: false,
  });
});

Deno.test("cutOf() gives chunks of whole tiles that cover every request", () => {
  for (const length of [0, 1, 31, 600, 32768]) {
    for (const config of combinations({ params: space(problem({}), H200).params.slice(0, 1), constraints: [] })) {
      for (const max_kv_splits of [1, 7, 132]) {
        const { chunk, splits } = cutOf(problem({ contextLens: length }), { ...config, max_kv_splits });
        strictEqual(chunk % (config.BLOCK_N as number), 0);
        ok(chunk * splits >= length && splits <= Math.max(1, max_kv_splits));
      }
    }
  }
});
