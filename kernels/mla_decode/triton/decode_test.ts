import { ok, strictEqual } from "node:assert";
import type { DeviceInfo } from "../../devices/device.ts";
import { TritonSession } from "../../devices/triton/session.ts";
import { startPython, tritonMissing } from "../../devices/triton/testing.ts";
import { brokenConstraint, type Config, configKey } from "../../space.ts";
import { mlaDecode } from "../kernel.ts";
import { tritonMlaDecode } from "./program.ts";

const ignore = await tritonMissing("the Triton kernel in its interpreter") !== undefined;

const LENGTHS = [0, 1, 31, 33, 600];
const CONFIG = {
  BLOCK_N: 64,
  BLOCK_H: 16,
  num_stages: 2,
  num_warps: 4,
  pieces: 4,
  groups: 1,
  max_registers: 0,
  partials: "f16",
  pdl: false,
  merge_splits: 8,
  merge_widths: 512,
  merge_warps: 4,
  max_kv_splits: 5,
};

/** Each is a problem, a config, and how exact outputs must be: rounding to f16 is 2e-4, E4M3 probabilities are 1e-2. */
const CASES: [Record<string, unknown>, Partial<typeof CONFIG & { probabilities: string; groups: number }>, number][] = [
  ...[1, 16].flatMap((pageSize): typeof CASES => [
    [{ heads: 1, pageSize }, { BLOCK_N: 32, max_kv_splits: 8 }, 1e-3],
    [{ heads: 7, pageSize }, { merge_widths: 128, merge_warps: 1 }, 1e-3],
    [{ heads: 16, pageSize }, { BLOCK_N: 32, pieces: 8 }, 1e-3],
    [{ heads: 128, pageSize }, { BLOCK_N: 128, BLOCK_H: 64, num_warps: 8, num_stages: 1 }, 1e-3],
  ]),
  ...[{ heads: 16 }, { heads: 7, logitCap: 20, sinks: true, pageSize: 16 }].map((
    fields,
  ): typeof CASES[number] => [fields, { groups: 4, pieces: 2, BLOCK_N: 32 }, 1e-3]),
  [{ heads: 16, accuracy: "fp8_p", rope: 0 }, { groups: 4, BLOCK_N: 32, probabilities: "16bit" }, 1e-3],
  [{ heads: 45, logitCap: 20, sinks: true }, { BLOCK_H: 32, num_warps: 4, merge_splits: 4 }, 1e-3],
  [{ heads: 16, accuracy: "fp8_p" }, { probabilities: "e4m3" }, 4e-2],
  [{ heads: 16, accuracy: "fp8_p" }, { probabilities: "16bit" }, 1e-3],
  [{ heads: 16, kvType: "bf16" }, { partials: "f32" }, 1e-3],
  [{ heads: 16, kvType: "f16", latent: 256, rope: 32 }, { merge_widths: 128, merge_warps: 1 }, 1e-3],
];

Deno.test({
  name: "The Triton kernel agrees with the float64 reference: heads, lengths, pages, types, caps and sinks",
  ignore,
  fn: async (t) => {
    const python = await startPython({ TRITON_INTERPRET: "1" });
    const device = (await python.request({ op: "open", device: 0 })).device as DeviceInfo;
    const check = async (fields: Record<string, unknown>, choose: (problem: unknown) => Config, bound: number) => {
      const problem = mlaDecode.parseProblem({ contextLens: LENGTHS, kvScale: 0.37, ioType: "f16", ...fields });
      const config = choose(problem);
      const inputs = mlaDecode.inputs(problem, 7);
      const session = await TritonSession.load(python, inputs, console.warn);
      const built = await session.build(tritonMlaDecode.program(problem, config, device));
      const { ok: right, why, relError } = mlaDecode.reference(problem, inputs).check(await built.run(), config);
      ok(right, why);
      ok(relError <= bound, `relative error ${relError}`);
      return { problem, config };
    };
    for (const [fields, choice, bound] of CASES) {
      const own = { ...CONFIG, ...choice };
      await t.step(`${JSON.stringify(fields)} ${configKey(choice as Config)}`, async () => {
        const { problem, config } = await check(fields, () => own, bound);
        strictEqual(brokenConstraint(tritonMlaDecode.space(problem, device), config)?.name, undefined);
      });
    }
    for (const fields of [{ heads: 20 }, { heads: 16, accuracy: "fp8_p", sinks: true, logitCap: 20 }]) {
      await t.step(`the baseline, ${JSON.stringify(fields)}`, async () => {
        const problem = mlaDecode.parseProblem({ contextLens: LENGTHS, ...fields });
        await check(fields, () => tritonMlaDecode.baseline(problem, device), 4e-2);
      });
    }
    await python.close();
  },
});

Deno.test({
  name: "The Triton kernel's outputs are checked: one that reads the wrong scale is wrong",
  ignore,
  fn: async () => {
    const python = await startPython({ TRITON_INTERPRET: "1" });
    const device = (await python.request({ op: "open", device: 0 })).device as DeviceInfo;
    const problem = mlaDecode.parseProblem({ contextLens: 40, ioType: "f16" });
    const inputs = mlaDecode.inputs(problem, 7);
    const session = await TritonSession.load(python, inputs, console.warn);
    const program = tritonMlaDecode.program({ ...problem, kvScale: 1.25 }, CONFIG, device);
    const outputs = await (await session.build(program)).run();
    strictEqual(mlaDecode.reference(problem, inputs).check(outputs, CONFIG).ok, false);
    await python.close();
  },
});
