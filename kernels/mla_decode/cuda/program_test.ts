/**
 * The CUDA kernels of MLA decode against the float64 reference, on a device.
 *
 * Every path runs in every case with configs that are drawn at random from its space, more of them with `KVTUNE_FULL=1`.
 */
import assert from "node:assert/strict";
import { cudaTest } from "../../devices/cuda_testing.ts";
import type { OpenDevice } from "../../devices/device.ts";
import { randomSource } from "../../random_source.ts";
import { configKey } from "../../space.ts";
import { mlaDecode } from "../kernel.ts";
import { parseProblem } from "../problem.ts";
import { reference } from "../reference.ts";
import { withFirstTokens } from "../testing.ts";
import { PATHS } from "./geometry.ts";
import { cudaMlaDecode } from "./program.ts";
import { CLUSTERS, drawConfigs, testDevice } from "./testing.ts";

const HEADS = [1, 8, 16, 20, 32, 96, 128];
const LENGTHS = [[1], [4097], [100_003], [0], [33, 0, 1000, 1, 400, 63], [65, 0, 100_003, 4097, 1, 63]];
/** Configs of a path in each case. */
const DRAWS = Deno.env.get("KVTUNE_FULL") === "1" ? 20 : 2;
/** Multiply-adds of the reference in one case: all rows of most. */
const REFERENCE_BUDGET = 1e8;

const random = randomSource(5);
const worst = { relError: 0, lseError: 0 };

/**
 * Checks configs of each path on one problem, compiled together: drawn ones that have the given values. Gives the names of
 * what is wrong.
 */
async function wrongIn(
  device: OpenDevice,
  fields: Record<string, unknown>,
  only: Record<string, string[]> = {},
): Promise<string[]> {
  const problem = parseProblem({ ioType: "bf16", ...fields });
  const list = [
    ...drawConfigs(problem, device.info, DRAWS, random, only),
    cudaMlaDecode.baseline(problem, device.info),
  ];
  const tensors = mlaDecode.inputs(problem, problem.heads);
  const expected = reference(problem, tensors, REFERENCE_BUDGET);
  const session = await device.load(tensors);
  const wrong: string[] = [];
  try {
    const built = await Promise.all(
      list.map((config) => session.build(cudaMlaDecode.program(problem, config, device.info))),
    );
    for (const [i, program] of built.entries()) {
      const check = expected.check(await program.run(), list[i]);
      program.destroy();
      if (!check.ok) wrong.push(`${JSON.stringify(fields)} ${configKey(list[i])}: ${check.why}`);
      worst.relError = Math.max(worst.relError, check.relError);
      worst.lseError = Math.max(worst.lseError, check.errors.lseError ?? 0);
    }
  } finally {
    session.destroy();
  }
  return wrong;
}

cudaTest("mla_decode on CUDA is right for odd heads, lengths, pages and scales", async (device) => {
  const wrong: string[] = [];
  for (const heads of HEADS) {
    for (const [i, contextLens] of LENGTHS.entries()) {
      const fields = { heads, contextLens, pageSize: [1, 64][i % 2], kvScale: [0.05, 1, 3][i % 3] };
      wrong.push(...await wrongIn(device, { ...fields, batch: contextLens.length }));
    }
  }
  console.log(`largest errors: ${JSON.stringify(worst)}`);
  assert.deepEqual(wrong, []);
});

cudaTest("mla_decode on CUDA is right where two blocks bring each other their rows", async (device) => {
  const wrong: string[] = [];
  for (const heads of [96, 100, 128]) {
    for (const [i, contextLens] of LENGTHS.entries()) {
      const fields = { heads, contextLens, batch: contextLens.length, pageSize: [64, 1][(heads + i) % 2] };
      wrong.push(...await wrongIn(device, fields, CLUSTERS));
    }
    const ragged = { heads, contextLens: LENGTHS[5], batch: LENGTHS[5].length };
    wrong.push(...await wrongIn(device, { ...ragged, sinks: true, logitCap: 20, ioType: "f16" }, CLUSTERS));
  }
  assert.deepEqual(wrong, []);
});

cudaTest("mla_decode on CUDA is right with sinks, logit caps, f16 outputs and a bf16 cache", async (device) => {
  const wrong: string[] = [];
  for (const heads of [16, 128]) {
    const ragged = { heads, batch: LENGTHS[4].length, contextLens: LENGTHS[4] };
    wrong.push(
      ...await wrongIn(device, { ...ragged, sinks: true }),
      ...await wrongIn(device, { ...ragged, logitCap: 20, ioType: "f16" }),
      ...await wrongIn(device, { ...ragged, kvType: "bf16", sinks: true, logitCap: 30 }),
    );
  }
  assert.deepEqual(wrong, []);
});

cudaTest("mla_decode on CUDA keeps what a heavy first token leaves to long stretches", async (device) => {
  const problem = parseProblem({ ioType: "bf16", heads: 16, contextLens: 32768 });
  const tensors = withFirstTokens(problem, 11.8);
  const expected = reference(problem, tensors, REFERENCE_BUDGET);
  const session = await device.load(tensors);
  const wrong: string[] = [];
  for (const config of drawConfigs(problem, device.info, 1, random)) {
    const program = await session.build(cudaMlaDecode.program(problem, { ...config, max_kv_splits: 4 }, device.info));
    const check = expected.check(await program.run(), config);
    program.destroy();
    if (!check.ok) wrong.push(`${configKey(config)}: ${check.why}`);
  }
  session.destroy();
  assert.deepEqual(wrong, []);
});

Deno.test("what is drawn for a device reaches every path", () => {
  const paths = HEADS.flatMap((heads) => {
    return ["fp8_e4m3", "bf16"].flatMap((kvType) => {
      const problem = parseProblem({ heads, kvType, ioType: "bf16", contextLens: 4097 });
      return drawConfigs(problem, testDevice(), DRAWS, random).map(({ path }) => path);
    });
  });
  assert.deepEqual([...new Set(paths)].sort(), Object.keys(PATHS).sort());
});
