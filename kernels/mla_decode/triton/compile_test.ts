import { ok, strictEqual } from "node:assert";
import { compileAhead, targetDevice } from "../../devices/triton.ts";
import { startPython, tritonMissing } from "../../devices/triton/testing.ts";
import { brokenConstraint, type Config, configKey, sampleConfig } from "../../space.ts";
import { generator } from "../inputs.ts";
import { mlaDecode } from "../kernel.ts";
import { sharedBytes } from "./geometry.ts";
import { tritonMlaDecode } from "./program.ts";

const ignore = await tritonMissing("compiling the Triton kernel ahead of time") !== undefined;

/** Configs for each architecture: 64 in all, besides what servers launch. */
const SAMPLES = 16;
const PROBLEMS = [
  { heads: 16, batch: 1 },
  { heads: 128, batch: 8 },
  { heads: 16, batch: 32, accuracy: "fp8_p" },
  { heads: 128, batch: 1, kvType: "bf16", sinks: true, logitCap: 30 },
].map((fields) => mlaDecode.parseProblem({ contextLens: 8192, ioType: "bf16", ...fields }));

/** Few of the samples have groups. */
const GROUPS = {
  ...{ BLOCK_N: 32, BLOCK_H: 16, num_stages: 2, num_warps: 4, pieces: 2, groups: 4, max_registers: 168 },
  ...{ partials: "f16", merge_splits: 8, merge_widths: 512, merge_warps: 2, max_kv_splits: 12 },
};

for (const arch of ["sm_80", "sm_90", "sm_100", "sm_120"]) {
  Deno.test({
    name: `The Triton kernel compiles for ${arch} in every config that is admitted, within its shared memory`,
    ignore,
    fn: async () => {
      const python = await startPython({ TRITON_INTERPRET: undefined });
      const device = { ...await targetDevice(python, arch), smCount: 132 };
      const random = generator(Number(arch.slice(3)));
      const limit = device.limits.workgroupStorageBytes;
      const compile = async (problem: typeof PROBLEMS[number], config: Config) => {
        const program = tritonMlaDecode.program(problem, config, device);
        try {
          return await compileAhead(python, program, arch);
        } catch (error) {
          throw new Error(`${mlaDecode.problemName(problem)} ${configKey(config)}: ${(error as Error).message}`);
        }
      };
      const seen = new Set<string>();
      for (let i = 0; seen.size < SAMPLES; i++) {
        const problem = PROBLEMS[i % PROBLEMS.length];
        if (problem.accuracy === "fp8_p" && !device.features.includes("e4m3")) continue;
        const space = tritonMlaDecode.space(problem, device);
        let config;
        do config = sampleConfig(space, () => random() / 2 ** 32); while (brokenConstraint(space, config));
        seen.add(configKey(config));
        const { stage1SharedBytes, stage2SharedBytes } = await compile(problem, config);
        ok(Math.max(stage1SharedBytes, stage2SharedBytes) <= limit, `${configKey(config)}: ${stage1SharedBytes} bytes`);
      }
      await compile(PROBLEMS[0], tritonMlaDecode.baseline(PROBLEMS[0], device));
      const shared =
        (await compile(PROBLEMS[0], { ...GROUPS, pdl: device.features.includes("pdl") })).stage1SharedBytes;
      ok(shared <= sharedBytes(PROBLEMS[0], GROUPS), `${shared} bytes with groups`);
      await python.close();
    },
  });
}

Deno.test({
  name: "compileAhead() gives the shared memory that sharedBytes() counts on, and names what does not compile",
  ignore,
  fn: async () => {
    const python = await startPython({ TRITON_INTERPRET: undefined });
    const device = await targetDevice(python, "sm_90");
    const config = {
      ...{ BLOCK_N: 32, BLOCK_H: 16, num_stages: 3, num_warps: 4, pieces: 8, max_registers: 0, partials: "f16" },
      ...{ pdl: true, merge_splits: 16, merge_widths: 64, merge_warps: 1, max_kv_splits: 132 },
    };
    // 16 queries, 32 rows of operands, two tiles in flight.
    const compile = (choice: Config) =>
      compileAhead(python, tritonMlaDecode.program(PROBLEMS[0], choice, device), "sm_90");
    strictEqual((await compile(config)).stage1SharedBytes, 16 * 576 * 2 + 32 * 576 * 2 + 2 * 32 * 576);
    // With groups 16 queries, 32 rows of values and one tile in flight, and scores of 16 queries from each of 4 groups.
    const shared = (await compile({ ...GROUPS, pdl: true })).stage1SharedBytes;
    strictEqual(shared, 16 * 576 * 2 + 32 * 512 * 2 + 32 * 512 + 4 * 32 * 16 * 4);
    strictEqual(shared, sharedBytes(PROBLEMS[0], GROUPS) - 1024);
    const odd = tritonMlaDecode.program(PROBLEMS[0], { ...config, BLOCK_N: 48 }, device);
    let message = "";
    await compileAhead(python, odd, "sm_90").catch((error) => message = error.message);
    ok(/power of 2/.test(message), message);
    await python.close();
  },
});
