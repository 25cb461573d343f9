import assert from "node:assert/strict";
import { childEnvironment, hasCompiler, stubFolder } from "./cuda/stub/stub.ts";

/** Runs a program that imports the backend, in a process of its own: libcuda is opened once a process. */
async function run(code: string, env: Record<string, string>): Promise<unknown> {
  const module = new URL("./cuda.ts", import.meta.url).href;
  const source = `import { cuda, diagnose } from "${module}"; ${code}`;
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["eval", "--no-prompt", source],
    stderr: "piped",
    ...childEnvironment(env),
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

const NOWHERE = { KVTUNE_LIBCUDA: "/nowhere/libcuda.so.1", KVTUNE_NVRTC: "/nowhere/libnvrtc.so.13" };

Deno.test("cuda.list() is empty where there is no driver, and diagnose() says what was tried", async () => {
  const code = "console.log(JSON.stringify([await cuda.list(), diagnose().problems]))";
  const [devices, problems] = await run(code, NOWHERE) as [unknown[], string[]];
  assert.deepEqual(devices, []);
  assert.match(problems[0], /^Cannot open libcuda, .*\n {2}\/nowhere\/libcuda\.so\.1: /);
  assert.match(problems[1], /^Cannot open libnvrtc, .*\n {2}\/nowhere\/libnvrtc\.so\.13: /);
});

Deno.test("cuda.open() rejects where there is no driver", async () => {
  const code = "await cuda.open(0).catch((error) => console.log(JSON.stringify([error.name, error.tried.length])))";
  assert.deepEqual(await run(code, NOWHERE), ["LibraryError", 1]);
});

Deno.test({
  name: "cuda.open() gives a device and a partition of it, one after the other",
  ignore: !hasCompiler,
  fn: async () => {
    const folder = await stubFolder();
    const env = {
      KVTUNE_LIBCUDA: `${folder}/libcuda.so.1`,
      KVTUNE_NVRTC: `${folder}/libnvrtc.so.13`,
      KVTUNE_NVML: `${folder}/libnvidia-ml.so.1`,
    };
    const code = `
      const seen = [];
      for (const smCount of [undefined, 64, 66]) {
        const device = await cuda.open(0, { smCount });
        seen.push(device.info, device.readings().values.powerW);
        device.close();
      }
      console.log(JSON.stringify([await cuda.list(), seen]));`;
    const [listed, seen] = await run(code, env) as [Record<string, unknown>[], Record<string, unknown>[]];
    const [whole, power, part, , fine] = seen;
    assert.deepEqual(listed, [whole]);
    assert.equal(whole.toolchain, "NVRTC 13.0");
    assert.equal(power, 650.5);
    const { backend, name, arch, driver, smCount, smCountSource, features } = whole;
    assert.deepEqual({ backend, name, arch, driver, smCount, smCountSource, features }, {
      backend: "cuda",
      name: "Stub H200",
      arch: "sm_90",
      driver: "580.1.2 (CUDA 13.0)",
      smCount: 132,
      smCountSource: "driver",
      features: ["pdl", "clusters", "partitions"],
    });
    assert.deepEqual([part.smCount, part.features], [64, ["pdl", "clusters", "partitions", "partition"]]);
    assert.deepEqual([fine.smCount, fine.features], [66, ["pdl", "partitions", "partition"]]);
    const limits = part.limits as Record<string, number>;
    assert.deepEqual([limits.deviceSmCount, limits.partitionMin, limits.partitionStep], [132, 8, 8]);
  },
});
