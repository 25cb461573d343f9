import assert from "node:assert/strict";
import type { DeviceInfo } from "../../devices/device.ts";
import { workgroupNeeds } from "../../devices/wgsl_limits.ts";
import { brokenConstraint, type Config, configs, parseConfig, sampleConfig } from "../../space.ts";
import type { WebGpuProgram } from "../../devices/device.ts";
import { generator } from "../inputs.ts";
import { kvSplitsCap } from "../kv_splits.ts";
import { parseProblem } from "../problem.ts";
import { geometry, stage1StorageBytes } from "./geometry.ts";
import { webgpuMlaDecode } from "./program.ts";

const LLVMPIPE: DeviceInfo = {
  backend: "webgpu",
  index: 0,
  name: "llvmpipe (LLVM 15.0.6, 256 bits)",
  arch: "",
  driver: "",
  smCount: 2,
  smCountSource: "threads",
  software: true,
  limits: {
    workgroupStorageBytes: 32768,
    workgroupInvocations: 1024,
    workgroupSizeX: 1024,
    workgroupSizeY: 1024,
    workgroupSizeZ: 1024,
    workgroupsPerDimension: 65535,
    bindingBytes: 134217728,
    bufferBytes: 2147483647,
    storageBuffers: 32,
  },
  features: ["shader-f16", "timestamp-query"],
};
const H200: DeviceInfo = {
  ...LLVMPIPE,
  name: "NVIDIA H200",
  smCount: 132,
  smCountSource: "measured",
  software: false,
  limits: { ...LLVMPIPE.limits, workgroupStorageBytes: 49152, bindingBytes: 2147483644, bufferBytes: 4292870144 },
};

const program = (config: Config, device: DeviceInfo, problem = parseProblem({})) =>
  webgpuMlaDecode.program(problem, config, device) as WebGpuProgram;

/** Name of the constraint that a change of the baseline breaks. */
function broken(json: unknown, change: Config, device: DeviceInfo, maxWorkspaceBytes?: number): string | undefined {
  const problem = parseProblem(json);
  const space = webgpuMlaDecode.space(problem, device, { maxWorkspaceBytes });
  return brokenConstraint(space, { ...webgpuMlaDecode.baseline(problem, device), ...change })?.name;
}

Deno.test("space() on llvmpipe has 50 to 400 configs for 16 heads and 2048 tokens, the baseline among them", () => {
  const problem = parseProblem({});
  const space = webgpuMlaDecode.space(problem, LLVMPIPE);
  const all = [...configs(space)];
  assert.ok(all.length >= 50 && all.length <= 400, `${all.length}`);
  const baseline = webgpuMlaDecode.baseline(problem, LLVMPIPE);
  assert.deepEqual(parseConfig(space, baseline), baseline);
  assert.equal(brokenConstraint(space, baseline), undefined);
});

Deno.test("baseline() is as served: BLOCK_N 32, num_stages 2, 16 heads a block, the served cap", () => {
  const expected = { BLOCK_N: 32, num_stages: 2, BLOCK_H: 16, ACC: "f32", schedule: "served" };
  for (const [device, contextLens] of [[LLVMPIPE, 2048], [H200, 1000], [H200, 131072]] as const) {
    const baseline = webgpuMlaDecode.baseline(parseProblem({ contextLens }), device);
    for (const [name, value] of Object.entries(expected)) assert.equal(baseline[name], value, name);
    assert.equal(baseline.max_kv_splits, kvSplitsCap(8, device.smCount, contextLens));
  }
});

Deno.test("baseline() is the nearest that the limits allow where they forbid the served one", () => {
  const small: DeviceInfo = { ...LLVMPIPE, limits: { ...LLVMPIPE.limits, workgroupStorageBytes: 16384 } };
  const problem = parseProblem({});
  const baseline = webgpuMlaDecode.baseline(problem, small);
  assert.equal(baseline.BLOCK_N, 16);
  assert.equal(brokenConstraint(webgpuMlaDecode.space(problem, small), { ...baseline, max_kv_splits: 8 }), undefined);
  assert.equal(webgpuMlaDecode.baseline(parseProblem({ heads: 3 }), LLVMPIPE).BLOCK_H, 4);
});

Deno.test("every constraint prunes what its name says", () => {
  const noF16 = { ...H200, features: [] };
  const fewThreads = { ...H200, limits: { ...H200.limits, workgroupInvocations: 128 } };
  assert.equal(broken({ contextLens: 32768 }, {}, H200), undefined);
  assert.equal(broken({}, { qk_tile: "8x8", BLOCK_N: 16 }, H200), "threads divide the work");
  assert.equal(broken({ heads: 4 }, { BLOCK_H: 16 }, H200), "heads a block");
  assert.equal(broken({}, { BLOCK_N: 64, qk_tile: "8x8" }, H200), "workgroup storage");
  assert.equal(broken({}, { merge_shape: "32x8" }, fewThreads), "invocations");
  assert.equal(broken({}, { pv_quads: 2, threads: 64, num_stages: 3, qk_tile: "4x4" }, H200), "registers");
  assert.equal(broken({}, { ACC: "f16" }, noF16), "f16 products");
  assert.equal(broken({ contextLens: 300000 }, { qk_tile: "4x4" }, LLVMPIPE), "binding size");
  assert.equal(
    broken({ batch: 70, contextLens: 100 }, {}, { ...H200, limits: { ...H200.limits, workgroupsPerDimension: 64 } }),
    "workgroups",
  );
  assert.equal(broken({}, { max_kv_splits: 16 }, H200, 100_000), "workspace");
  assert.equal(broken({ contextLens: 64 }, { num_stages: 3 }, LLVMPIPE), "stages");
  assert.equal(broken({ contextLens: 131072 }, { max_kv_splits: 1 }, LLVMPIPE), "llvmpipe loops");
  assert.equal(broken({ contextLens: 131072 }, { max_kv_splits: 1 }, { ...LLVMPIPE, name: "other" }), undefined);
  assert.equal(broken({ contextLens: 64 }, { max_kv_splits: 8, num_stages: 1 }, H200), "distinct splits");
});

Deno.test("every constraint has a reason of one line", () => {
  const { constraints } = webgpuMlaDecode.space(parseProblem({}), LLVMPIPE);
  assert.equal(new Set(constraints.map(({ name }) => name)).size, constraints.length);
  for (const { reason } of constraints) assert.ok(reason.length > 10 && !reason.includes("\n"));
});

Deno.test("space() declares what recompiles: other values of those parameters alone give other sources", () => {
  const problem = parseProblem({ contextLens: [4000, 4000], batch: 2 });
  const space = webgpuMlaDecode.space(problem, H200);
  const base = webgpuMlaDecode.baseline(problem, H200);
  const sources = (config: Config) => program(config, H200, problem).passes.map((pass) => pass.source).join();
  for (const { name, values, recompiles } of space.params) {
    for (const value of values) {
      if (value === base[name]) continue;
      const config = { ...base, [name]: value };
      if (brokenConstraint({ ...space, constraints: space.constraints.slice(0, 1) }, config)) continue;
      assert.equal(sources(config) !== sources(base), recompiles, `${name} ${value}`);
    }
  }
});

Deno.test("stage1StorageBytes() bounds what the WGSL declares, closely", () => {
  const random = generator(1);
  for (const json of [{}, { heads: 128, latent: 256, rope: 32 }, { kvType: "f16" }, { heads: 3 }]) {
    const problem = parseProblem(json);
    const space = webgpuMlaDecode.space(problem, H200);
    for (let tries = 0, found = 0; tries < 20000 && found < 40; tries++) {
      const config = sampleConfig(space, () => random() / 2 ** 32);
      if (brokenConstraint(space, config)) continue;
      found++;
      const { passes } = program(config, H200, problem);
      const { storageBytes, invocations } = workgroupNeeds(passes[0].source, passes[0].entryPoint);
      const bound = stage1StorageBytes(geometry(problem, config));
      assert.ok(storageBytes <= bound && bound - storageBytes <= 128, `${storageBytes} of ${bound}`);
      assert.equal(invocations, config.threads);
    }
  }
});

Deno.test("workspaceBytes() is what the partial buffers take, and stays within the user's bound", () => {
  const problem = parseProblem({ heads: 128, contextLens: new Array(8).fill(8192) });
  const space = webgpuMlaDecode.space(problem, H200, { maxWorkspaceBytes: 20e6 });
  const random = generator(2);
  let found = 0;
  for (let tries = 0; tries < 20000; tries++) {
    const config = sampleConfig(space, () => random() / 2 ** 32);
    if (brokenConstraint(space, config)) continue;
    found++;
    const bytes = webgpuMlaDecode.workspaceBytes(problem, config, H200);
    const partial = program(config, H200, problem).buffers.filter(({ name }) => name.startsWith("partial"));
    assert.equal(bytes, partial.reduce((sum, buffer) => sum + buffer.bytes, 0));
    assert.ok(bytes <= 20e6);
  }
  assert.ok(found > 0);
});
