import assert from "node:assert/strict";
import { BuildError, type HostTensor, type WebGpuProgram } from "./device.ts";
import { webgpu } from "./webgpu.ts";
import { adapters, adapterTest } from "./webgpu_testing.ts";

const x: HostTensor = { name: "x", type: "f32", shape: [64], data: Float32Array.from({ length: 64 }, (_, i) => i) };

/** out[i] = 2 x[i] for the first `count` elements. */
function doubling(count = 64, declarations = "", size = 64): WebGpuProgram {
  const source = `${declarations}
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> out: array<f32>;
    @compute @workgroup_size(${size}) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < ${count}u) { out[id.x] = 2.0 * x[id.x]; }
    }`;
  return {
    backend: "webgpu",
    buffers: [{ name: "out", bytes: 256 }],
    passes: [{ label: "double", source, entryPoint: "main", bindings: ["x", "out"], workgroups: [1, 1, 1] }],
    outputs: [{ name: "out", type: "f32", shape: [64] }],
  };
}

Deno.test("webgpu.list() numbers the adapters and gives each a name, an SM count and limits", () => {
  adapters.forEach((info, i) => {
    assert.equal(info.index, i);
    assert.ok(info.name.length > 0 && info.smCount >= 1);
    for (const value of Object.values(info.limits)) assert.ok(value > 0);
    if (info.software) assert.equal(info.smCountSource, "threads");
  });
});

Deno.test("webgpu.open() names the index that is not there, and what is accepted", async () => {
  await assert.rejects(webgpu.open(99), /Cannot open WebGPU device 99: (expected 0 to \d+|no adapter was found)/);
  await assert.rejects(webgpu.open(0, { smCount: 0 }), /smCount is 0, expected a positive integer/);
});

adapterTest("webgpu.open() takes a given SM count", async () => {
  const device = await webgpu.open(0, { smCount: 17 });
  assert.equal(device.info.smCount, 17);
  assert.equal(device.info.smCountSource, "given");
  device.close();
});

adapterTest("BuiltProgram.run() gives the program's outputs", async (device) => {
  const session = await device.load([x]);
  const built = await session.build(doubling());
  const out = (await built.run()).get("out")!;
  assert.deepEqual([...out.data], [...x.data].map((value) => 2 * value));
  built.destroy();
  session.destroy();
});

adapterTest(
  "BuiltProgram.run() shows elements that were not written as NaN, also after a run that wrote them",
  async (device) => {
    const session = await device.load([x]);
    await (await session.build(doubling(64))).run();
    const out = (await (await session.build(doubling(60))).run()).get("out")!;
    assert.equal(out.data[59], 118);
    for (let i = 60; i < 64; i++) assert.ok(Number.isNaN(out.data[i]));
    session.destroy();
  },
);

adapterTest("load() takes tensors whose bytes are no multiple of 4", async (device) => {
  const bytes: HostTensor = { name: "x", type: "e4m3", shape: [5], data: Uint8Array.of(1, 2, 3, 4, 5) };
  const session = await device.load([bytes]);
  const program = doubling();
  const source = program.passes[0].source.replace("array<f32>", "array<u32>").replace("2.0 * x[id.x]", "f32(x[id.x])");
  const built = await session.build({ ...program, passes: [{ ...program.passes[0], source }] });
  assert.equal((await built.run()).get("out")!.data[1], 5);
  session.destroy();
});

adapterTest("load() repeats data that is shorter than its shape", async (device) => {
  const session = await device.load([{ ...x, data: Float32Array.of(1, 2, 3, 4, 5) }]);
  const out = (await (await session.build(doubling())).run()).get("out")!;
  assert.deepEqual([...out.data], Array.from({ length: 64 }, (_, i) => 2 * (1 + i % 5)));
  session.destroy();
});

adapterTest("load() takes tensors without elements", async (device) => {
  const session = await device.load([x, { name: "empty", type: "i32", shape: [0], data: new Int32Array(0) }]);
  assert.equal((await (await session.build(doubling())).run()).get("out")!.data[1], 2);
  session.destroy();
});

adapterTest("build() refuses what breaks a limit, with the limit's name, the value and the maximum", async (device) => {
  const session = await device.load([x]);
  const { workgroupStorageBytes, workgroupInvocations, workgroupsPerDimension } = device.info.limits;
  const floats = workgroupStorageBytes / 4 + 4;
  const refused = async (program: WebGpuProgram, message: RegExp) => {
    await assert.rejects(session.build(program), (error) => error instanceof BuildError && message.test(error.message));
  };
  await refused(
    doubling(64, `var<workgroup> w: array<f32, ${floats}>;`),
    new RegExp(`workgroup storage in bytes is ${floats * 4}, workgroupStorageBytes allows ${workgroupStorageBytes}`),
  );
  await refused(
    doubling(64, "", 2 * workgroupInvocations),
    new RegExp(`invocations a workgroup is ${2 * workgroupInvocations}`),
  );
  const program = doubling();
  await refused(
    { ...program, passes: [{ ...program.passes[0], workgroups: [workgroupsPerDimension + 1, 1, 1] }] },
    new RegExp(`workgroups in a dimension is ${workgroupsPerDimension + 1}`),
  );
  const bytes = device.info.limits.bindingBytes + 4;
  await refused(
    { ...program, buffers: [...program.buffers, { name: "scratch", bytes }] },
    new RegExp(`buffer "scratch" takes ${bytes} bytes, \\w+Bytes allows`),
  );
  session.destroy();
});

adapterTest("build() rejects with the compiler's whole message, and the device goes on", async (device) => {
  const session = await device.load([x]);
  const program = doubling();
  const broken = { ...program.passes[0], source: program.passes[0].source.replace("2.0 * x", "2.0 * y") };
  await assert.rejects(
    session.build({ ...program, passes: [broken] }),
    (error) =>
      error instanceof BuildError && /Cannot compile pass "double"/.test(error.message) && /y/.test(error.message),
  );
  await assert.rejects(
    session.build({ ...program, passes: [{ ...program.passes[0], bindings: ["x", "nowhere"] }] }),
    (error) => error instanceof BuildError && /Cannot bind "nowhere" of pass "double"/.test(error.message),
  );
  const out = (await (await session.build(program)).run()).get("out")!;
  assert.equal(out.data[3], 6);
  session.destroy();
});

adapterTest("time() gives samples for each program, in µs a run, whatever the repeats", async (device) => {
  const session = await device.load([{ ...x, rotates: true }]);
  const programs = [await session.build(doubling()), await session.build(doubling(32))];
  const times = await session.time(programs, { samples: 3, sampleUs: 500, coldCache: true });
  assert.equal(times.length, 2);
  for (const samples of times) {
    assert.equal(samples.length, 3);
    for (const us of samples) assert.ok(us > 0 && us < 1e6, `${us}`);
  }
  session.destroy();
});
