import { ok } from "node:assert";
import type { DeviceInfo } from "../../devices/device.ts";
import { TritonSession } from "../../devices/triton/session.ts";
import { startPython, tritonMissing } from "../../devices/triton/testing.ts";
import { brokenConstraint, type Config, sampleConfig } from "../../space.ts";
import { generator } from "../inputs.ts";
import { mlaDecode } from "../kernel.ts";
import { tritonMlaDecode } from "./program.ts";

const devices = await tritonMissing("the Triton kernel on a device") === undefined ? await list() : [];
if (devices.length === 0) console.warn("SKIPPED: Triton has no CUDA device, so no test of its kernel on one");

async function list(): Promise<DeviceInfo[]> {
  const python = await startPython({ TRITON_INTERPRET: undefined });
  const { devices } = await python.request({ op: "list" });
  await python.close();
  return devices as DeviceInfo[];
}

const PROBLEMS = [
  { heads: 16, contextLens: [0, 1, 31, 33, 600, 5000], kvScale: 0.37 },
  { heads: 128, contextLens: [4097, 8192] },
  { heads: 20, contextLens: [333, 0, 2049], kvType: "bf16", ioType: "bf16", pageSize: 1 },
  { heads: 16, contextLens: 8192, sinks: true, logitCap: 30 },
  { heads: 16, contextLens: 8192, accuracy: "fp8_p" },
].map((fields) => mlaDecode.parseProblem({ ioType: "bf16", ...fields }));

Deno.test({
  name: "The Triton kernel on a device agrees with the float64 reference in sampled configs, and is timed",
  ignore: devices.length === 0,
  fn: async (t) => {
    const python = await startPython({ TRITON_INTERPRET: undefined });
    await python.request({ op: "open", device: 0 });
    // Devices that lack E4M3 shift codes in PTX: that way is tried here too.
    for (const device of [devices[0], { ...devices[0], features: [] }]) {
      for (const problem of PROBLEMS) {
        if (problem.accuracy === "fp8_p" && !device.features.includes("e4m3")) continue;
        await t.step(
          `${mlaDecode.problemName(problem)} with ${device.features.join(", ") || "no feature"}`,
          async () => {
            const inputs = mlaDecode.inputs(problem, 3);
            const reference = mlaDecode.reference(problem, inputs);
            const session = await TritonSession.load(python, inputs, console.warn);
            const space = tritonMlaDecode.space(problem, device);
            const random = generator(problem.heads);
            const sample = (wanted: (config: Config) => boolean) => {
              let config: Config;
              do config = sampleConfig(space, () => random() / 2 ** 32); while (
                !wanted(config) || brokenConstraint(space, config)
              );
              return config;
            };
            const sampled = Array.from({ length: 4 }, () => sample(() => true));
            // Few have groups.
            if (problem.kvType === "fp8_e4m3") sampled.push(sample(({ groups }) => groups === 4));
            const hasE4M3 = device.features.includes("e4m3") || problem.kvType !== "fp8_e4m3";
            const configs = hasE4M3 ? [tritonMlaDecode.baseline(problem, device), ...sampled] : sampled;
            const built = [];
            for (const config of configs) {
              const program = await session.build(tritonMlaDecode.program(problem, config, device));
              const { ok: right, why, relError } = reference.check(await program.run(), config);
              ok(right, `${JSON.stringify(config)}: ${why}`);
              const isFp8P = config.path === "served" ? problem.accuracy === "fp8_p" : config.probabilities === "e4m3";
              ok(relError <= (isFp8P ? 4e-2 : 3e-3), `${JSON.stringify(config)}: ${relError}`);
              built.push(program);
            }
            const samples = await session.time(built, { samples: 2, sampleUs: 200, coldCache: true });
            console.log(samples.map((row) => row[1].toFixed(1)).join(" "), "µs");
          },
        );
      }
    }
    await python.close();
  },
});
