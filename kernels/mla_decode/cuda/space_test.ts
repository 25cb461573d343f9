import assert from "node:assert/strict";
import type { CudaArg, CudaProgram, DeviceInfo } from "../../devices/device.ts";
import { randomSource } from "../../random_source.ts";
import { brokenConstraint, type Config, parseConfig, sampleConfig, type Space } from "../../space.ts";
import { type MlaDecodeProblem, parseProblem } from "../problem.ts";
import { pathOf, workersOf } from "./geometry.ts";
import { cudaMlaDecode } from "./program.ts";
import { testDevice as device } from "./testing.ts";

const problem = (fields: Record<string, unknown> = {}) =>
  parseProblem({ ioType: "bf16", contextLens: 8192, ...fields });

/** So many admitted configs, drawn at random. */
function sample(space: Space, count: number): Config[] {
  const random = randomSource(1);
  const configs: Config[] = [];
  for (let draw = 0; configs.length < count && draw < 2_000_000; draw++) {
    const config = sampleConfig(space, random);
    if (!brokenConstraint(space, config)) configs.push(config);
  }
  return configs;
}

const program = (problem: MlaDecodeProblem, config: Config, on: DeviceInfo) =>
  cudaMlaDecode.program(problem, config, on) as CudaProgram;

for (const heads of [1, 16, 20, 64, 128]) {
  Deno.test(`space() for ${heads} heads admits configs whose launches keep the device's limits`, () => {
    const given = problem({ heads, batch: 8 });
    const configs = sample(cudaMlaDecode.space(given, device()), 200);
    assert.equal(configs.length, 200);
    for (const config of configs) {
      const { launches, buffers } = program(given, config, device());
      for (const { sharedBytes, block, grid } of launches) {
        assert.ok(sharedBytes <= 232448, `${sharedBytes} bytes of shared memory`);
        assert.ok(block[0] <= 1024 && block[0] % 32 === 0, `${block[0]} threads`);
        assert.ok(grid.every((size) => Number.isInteger(size) && size >= 1), `grid ${grid}`);
      }
      const partial = buffers.find(({ name }) => name === "partial")!;
      assert.equal(partial.bytes, (workersOf(given, config, device()) + 8) * heads * 512 * 2);
    }
  });
}

Deno.test("space() on a card that is no Hopper has the portable path alone", () => {
  for (const computeCapability of [80, 89, 100, 120]) {
    const configs = sample(cudaMlaDecode.space(problem(), device(computeCapability)), 20);
    assert.deepEqual([...new Set(configs.map((config) => config.path))], ["portable"]);
  }
});

Deno.test("space() admits every Hopper path that reads the cache's type at 128 heads", () => {
  const cases = [["fp8_e4m3", ["few_heads_fp8", "many_heads_fp8", "portable"]], [
    "bf16",
    ["few_heads", "many_heads", "portable"],
  ]] as const;
  for (const [kvType, paths] of cases) {
    const configs = sample(cudaMlaDecode.space(problem({ heads: 128, kvType }), device()), 300);
    assert.deepEqual([...new Set(configs.map((config) => config.path))].sort(), paths);
  }
});

Deno.test("space() keeps few_heads_fp8 to an FP8 cache and bf16 queries", () => {
  for (const fields of [{ kvType: "bf16" }, { ioType: "f16" }]) {
    const configs = sample(cudaMlaDecode.space(problem(fields), device()), 300);
    assert.ok(configs.some(({ path }) => path === "few_heads" || path === "many_heads_fp8"));
    assert.ok(configs.every((config) => config.path !== "few_heads_fp8"));
  }
});

Deno.test("space() gives few_heads_fp8 two small blocks an SM or one large one", () => {
  const given = problem({ batch: 8 });
  const configs = sample(cudaMlaDecode.space(given, device()), 1000).filter((config) =>
    config.path === "few_heads_fp8" && config.BLOCK_H === 16
  );
  const shapes = configs.map((config) =>
    [config.warpgroups, config.blocks_per_sm, config.num_stages, pathOf(config).sharedBytes(given, config)].join()
  );
  // The last: FEW_HEADS_FP8_SMEM, as the compiler has it.
  assert.deepEqual([...new Set(shapes)].sort(), ["1,2,2,97568", "2,1,4,176064"]);
});

Deno.test("space() gives many_heads_fp8 slots, threads and clusters by its blocks' heads", () => {
  const shapesOf = (heads: number) => {
    const given = problem({ heads, batch: 8 });
    const configs = sample(cudaMlaDecode.space(given, device()), 1000).filter(({ path }) => path === "many_heads_fp8");
    const shapes = configs.map((config) => {
      const [{ block, sharedBytes, defines }] = program(given, config, device()).launches;
      return [defines.BLOCK_H, defines.CLUSTER, config.num_stages, block[0], sharedBytes].join();
    });
    return [...new Set(shapes)].sort();
  };
  // The last: SM_TOTAL, as the compiler has it.
  assert.deepEqual(shapesOf(16), ["16,1,4,640,188968"]);
  assert.deepEqual(shapesOf(64), ["32,1,4,640,224936", "64,1,3,512,221008"]);
  assert.deepEqual(shapesOf(128), ["32,1,4,640,224936", "64,1,3,512,221008", "64,2,3,512,221224"]);
});

Deno.test("space() admits a config from before there were clusters, and clusters where the device has them", () => {
  const given = problem({ heads: 128, batch: 8 });
  const space = cudaMlaDecode.space(given, device());
  const pair = sample(space, 1000).find(({ cluster_size }) => cluster_size === 2)!;
  const { cluster_size: _, ...before } = pair;
  assert.deepEqual(parseConfig(space, before), { ...pair, cluster_size: 1 });
  assert.equal(brokenConstraint(space, before), undefined);
  assert.equal(program(given, before, device()).launches[0].defines.CLUSTER, 1);
  assert.equal(brokenConstraint(space, { ...pair, BLOCK_H: 32, num_stages: 4 })?.name, "cluster");
  assert.equal(brokenConstraint(space, { ...pair, path: "few_heads_fp8" })?.name, "path's values");
  const without = cudaMlaDecode.space(given, { ...device(), features: ["pdl"] });
  assert.throws(() => parseConfig(without, pair), /cluster_size is 2, expected one of 1/);
});

Deno.test("space() gives each refused config a reason", () => {
  // A bf16 cache's rows are large: two rings of eight slots do not fit an SM.
  const space = cudaMlaDecode.space(problem({ kvType: "bf16" }), device());
  const config = sample(space, 1000).find(({ path, warpgroups }) => path === "few_heads" && warpgroups === 1)!;
  const cases: [Config, string][] = [
    [{ ...config, path: "many_heads" }, "path's values"],
    [{ ...config, num_stages: 8 }, "blocks an SM"],
    [{ ...config, warpgroups: 2, blocks_per_sm: 1 }, "ring"],
  ];
  for (const [refused, name] of cases) assert.equal(brokenConstraint(space, refused)?.name, name);
  const bf16 = cudaMlaDecode.space(problem({ heads: 128, kvType: "bf16" }), device());
  const fp8Space = cudaMlaDecode.space(problem({ heads: 128 }), device());
  const fp8 = sample(fp8Space, 200).find(({ path }) => path === "many_heads_fp8")!;
  assert.equal(brokenConstraint(bf16, fp8)?.name, "path's types");
  assert.equal(brokenConstraint(fp8Space, { ...fp8, num_stages: fp8.num_stages === 3 ? 4 : 3 })?.name, "slots");
  const small = cudaMlaDecode.space(problem({ kvType: "bf16" }), device(), { maxWorkspaceBytes: 1000 });
  assert.equal(brokenConstraint(small, config)?.name, "workspace");
  const f32 = cudaMlaDecode.space(problem({ ioType: "f32" }), device());
  assert.equal(brokenConstraint(f32, config)?.name, "io type");
});

Deno.test("baseline() has the served defaults and splits", () => {
  const config = cudaMlaDecode.baseline(problem({ batch: 32 }), device());
  assert.deepEqual([config.BLOCK_N, config.num_stages, config.BLOCK_H, config.max_kv_splits], [32, 2, 16, 29]);
  assert.equal(cudaMlaDecode.baseline(problem({ contextLens: 32768 }), device()).max_kv_splits, 256);
});

Deno.test("workersOf() cuts the longest request of a ragged batch into max_kv_splits", () => {
  const ragged = problem({ contextLens: [1024, 0, 512, 512] });
  assert.equal(workersOf(ragged, { max_kv_splits: 4 }, device()), 8);
  assert.equal(workersOf(problem({ batch: 8 }), { max_kv_splits: 16 }, device()), 128);
  assert.equal(workersOf(problem({ contextLens: [0, 0] }), { max_kv_splits: 16 }, device()), 1);
});

Deno.test("workersOf() gives whole requests to one wave of large blocks", () => {
  const config = { path: "many_heads_fp8", max_kv_splits: 1, BLOCK_H: 64, blocks_per_sm: 1 };
  const workers = (fields: Record<string, unknown>) => workersOf(problem(fields), config, device());
  assert.equal(workers({ heads: 128, batch: 128 }), 64);
  assert.equal(workers({ heads: 128, batch: 64 }), 64);
  assert.equal(workers({ heads: 64, batch: 300 }), 100);
  assert.equal(workersOf(problem({ batch: 300 }), { ...config, path: "portable" }, device()), 300);
});

Deno.test("program() passes MlaParams as one struct of 96 bytes, and the same granule to both stages", () => {
  const given = problem({ heads: 64, sinks: true, logitCap: 30 });
  const size = (arg: CudaArg): number =>
    "struct" in arg ? arg.struct.reduce((sum, field) => sum + size(field), 0) : "buffer" in arg || "u64" in arg ? 8 : 4;
  for (const config of sample(cudaMlaDecode.space(given, device()), 50)) {
    const [first, second] = program(given, config, device()).launches;
    assert.equal(first.args.length, 1);
    assert.equal(size(first.args[0]), 96);
    assert.deepEqual(first.args, second.args);
    assert.equal(first.defines.MLA_GRANULE, pathOf(config).granule);
    assert.equal(first.defines.MLA_GRANULE, second.defines.MLA_GRANULE);
    assert.equal(first.pdl, config.pdl === true && pathOf(config).waitsFirst);
    assert.equal(second.pdl, config.pdl);
  }
});
