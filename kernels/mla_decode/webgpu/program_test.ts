/**
 * The WGSL of MLA decode against the float64 reference.
 *
 * The whole cross product of programs and cases takes half an hour on a software adapter with two cores. By default every
 * program of the space runs in one case, every case runs with one program, paired by index, and a property test draws
 * both at random. `KVTUNE_FULL=1` runs every program in every case, and prints the largest errors.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { DeviceInfo, HostTensor, OpenDevice } from "../../devices/device.ts";
import { adapterTest } from "../../devices/webgpu_testing.ts";
import { brokenConstraint, type Config, configKey, configs, sampleConfig } from "../../space.ts";
import { generator } from "../inputs.ts";
import { mlaDecode } from "../kernel.ts";
import { type MlaDecodeProblem, parseProblem } from "../problem.ts";
import { reference } from "../reference.ts";
import { withFirstTokens } from "../testing.ts";
import { webgpuMlaDecode } from "./program.ts";

const FULL = Deno.env.get("KVTUNE_FULL") === "1";
const HEADS = [1, 7, 16, 20, 128];
const LENGTHS = [0, 1, 31, 33, 1000, 4097];
const PAGE_SIZES = [1, 16, 64];
const SCALES = [0.013, 3];
const RAGGED = { contextLens: [33, 0, 1000, 1, 400, 31], pageSize: 16, kvScale: 3 };
const NARROW = { latent: 256, rope: 32 };
/** Multiply-adds of the reference in one case: enough for all rows of most. */
const REFERENCE_BUDGET = 5e7;

/** The largest errors that were seen, by accumulation type. */
const worst: Record<string, { relError: number; lseError: number }> = {};

/** Runs configs on one problem and asserts each. */
async function checkConfigs(
  device: OpenDevice,
  problem: MlaDecodeProblem,
  list: readonly Config[],
  tensors: HostTensor[] = mlaDecode.inputs(problem, problem.heads + problem.contextLens[0]),
): Promise<void> {
  const expected = reference(problem, tensors, REFERENCE_BUDGET);
  const session = await device.load(tensors);
  try {
    for (const config of list) {
      const built = await session.build(webgpuMlaDecode.program(problem, config, device.info));
      const check = expected.check(await built.run(), config);
      built.destroy();
      assert.ok(check.ok, `${JSON.stringify(problem)}\n${configKey(config)}\n${check.why}`);
      const seen = worst[`ACC ${config.ACC}, output ${problem.ioType}`] ??= { relError: 0, lseError: 0 };
      seen.relError = Math.max(seen.relError, check.relError);
      seen.lseError = Math.max(seen.lseError, check.errors.lseError);
    }
  } finally {
    session.destroy();
  }
}

/** One admitted config for each compiled program, with a cap that turns from one to the next. */
function programs(problem: MlaDecodeProblem, info: DeviceInfo): Config[] {
  const space = webgpuMlaDecode.space(problem, info);
  const recompiling = space.params.filter((param) => param.recompiles).map((param) => param.name);
  const byProgram = new Map<string, Config[]>();
  for (const config of configs(space)) {
    const key = recompiling.map((name) => config[name]).join();
    const known = byProgram.get(key);
    if (known) known.push(config);
    else byProgram.set(key, [config]);
  }
  return [...byProgram.values()].map((same, i) => same[i % same.length]);
}

/** Every case of the cross product: heads × lengths × page sizes × scales, the narrow row, and ragged batches. */
function cases(): MlaDecodeProblem[] {
  const problems: MlaDecodeProblem[] = [];
  for (const heads of HEADS) {
    for (const contextLens of LENGTHS) {
      for (const pageSize of PAGE_SIZES) {
        for (const kvScale of SCALES) problems.push(parseProblem({ heads, contextLens, pageSize, kvScale }));
      }
      problems.push(parseProblem({ heads, contextLens, ...NARROW }));
    }
    problems.push(parseProblem({ heads, ...RAGGED }), parseProblem({ heads, ...RAGGED, ...NARROW }));
  }
  return problems;
}

adapterTest("mla_decode on WebGPU: every program of the space is right in one case at least", async (device) => {
  const pairs = SCALES.flatMap((kvScale) => PAGE_SIZES.map((pageSize) => ({ kvScale, pageSize })));
  const list = programs(parseProblem({ contextLens: 1000 }), device.info);
  assert.ok(list.length >= 20, `${list.length} programs`);
  for (const [i, pair] of pairs.entries()) {
    const mine = list.filter((_, k) => k % pairs.length === i);
    await checkConfigs(device, parseProblem({ contextLens: 1000, ...pair }), mine);
  }
});

adapterTest("mla_decode on WebGPU: every case is right with a program of the space or the baseline", async (device) => {
  for (const [i, problem] of cases().entries()) {
    const list = programs(problem, device.info);
    const baseline = webgpuMlaDecode.baseline(problem, device.info);
    // Two programs and the baseline in turn, so that pipelines are compiled once for each head count.
    const inTurn = [baseline, list[Math.floor(list.length / 3)], list[Math.floor(list.length * 0.8)]];
    await checkConfigs(device, problem, FULL ? [baseline, ...list] : [inTurn[i % 3] ?? baseline]);
  }
});

adapterTest("mla_decode on WebGPU: logit cap, sinks, f16 products and every storage type are right", async (device) => {
  const variants: [Record<string, unknown>, Record<string, string | number>][] = [
    [{ logitCap: 30, kvScale: 3 }, {}],
    [{ sinks: true }, {}],
    [{ ioType: "f16", sinks: true, logitCap: 5 }, { ACC: "f16" }],
    [{ ioType: "bf16", kvType: "bf16" }, { BLOCK_N: 16 }],
    [{ kvType: "f16", kvScale: 0.5 }, { BLOCK_N: 16, num_stages: 3 }],
    [{ kvType: "f16", ...NARROW }, { BLOCK_N: 16, ACC: "f16", threads: 64 }],
    [{}, { ACC: "f16", buffers: 2, BLOCK_N: 16 }],
  ];
  for (const [extra, change] of variants) {
    if (change.ACC === "f16" && !device.info.features.includes("shader-f16")) {
      console.error("SKIPPED, the adapter lacks shader-f16: ACC f16");
      continue;
    }
    const problem = parseProblem({ contextLens: [300, 33, 0], ...extra });
    await checkConfigs(device, problem, [{ ...webgpuMlaDecode.baseline(problem, device.info), ...change }]);
  }
});

adapterTest("mla_decode on WebGPU: any admitted config is right on any problem (drawn at random)", async (device) => {
  // The hardware's wider space under this adapter's limits, so that software adapters test what GPUs will run.
  const info: DeviceInfo = { ...device.info, software: false, smCount: 6 };
  const problems = fc.record({
    heads: fc.integer({ min: 1, max: 128 }),
    contextLens: fc.array(fc.oneof(fc.constantFrom(...LENGTHS.slice(0, 5)), fc.nat({ max: 600 })), {
      minLength: 1,
      maxLength: 4,
    }),
    pageSize: fc.constantFrom(...PAGE_SIZES),
    kvScale: fc.double({ min: 0.01, max: 4, noNaN: true }),
    kvType: fc.constantFrom("fp8_e4m3", "fp8_e4m3", "f16", "bf16"),
    ioType: fc.constantFrom("f32", "f32", "f16", "bf16"),
    logitCap: fc.constantFrom(0, 0, 20),
    sinks: fc.boolean(),
    widths: fc.constantFrom({}, {}, NARROW, { latent: 128, rope: 16 }),
  });
  await fc.assert(
    fc.asyncProperty(problems, fc.nat(), async ({ widths, ...rest }, seed) => {
      const problem = parseProblem({ ...rest, ...widths });
      const space = webgpuMlaDecode.space(problem, info);
      const random = generator(seed);
      for (let tries = 0; tries < 5000; tries++) {
        const config = sampleConfig(space, () => random() / 2 ** 32);
        if (!brokenConstraint(space, config)) return await checkConfigs(device, problem, [config]);
      }
      fc.pre(false);
    }),
    { numRuns: FULL ? 300 : 12, endOnFailure: true },
  );
});

adapterTest("mla_decode on WebGPU: the largest errors stay within the criterion", () => {
  console.log(`largest errors: ${JSON.stringify(worst)}`);
  const f32 = worst["ACC f32, output f32"];
  assert.ok(f32.relError <= 2e-5 && f32.lseError <= 1e-4);
  const f16 = worst["ACC f16, output f32"];
  if (f16) assert.ok(f16.relError <= 3e-3 && f16.lseError <= 1e-4);
  return Promise.resolve();
});

adapterTest("mla_decode on WebGPU keeps what a heavy first token leaves to a long split", async (device) => {
  const problem = parseProblem({ contextLens: 8192 });
  const baseline = { ...webgpuMlaDecode.baseline(problem, device.info), max_kv_splits: 1 };
  const list = device.info.features.includes("shader-f16") ? [baseline, { ...baseline, ACC: "f16" }] : [baseline];
  await checkConfigs(device, problem, list, withFirstTokens(problem, 10));
});
