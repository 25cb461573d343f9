import assert from "node:assert/strict";
import { BuildError, type CudaLaunch, type CudaProgram, type HostTensor } from "../device.ts";
import { CompileCache } from "./compile_cache.ts";
import { Compiler } from "./compiler.ts";
import { Context } from "./context.ts";
import { StickyCudaError } from "./errors.ts";
import { Libraries } from "./libraries.ts";
import { copyCount, CudaSession } from "./session.ts";
import { hasCompiler, stubDriver, stubNvrtc } from "./stub/stub.ts";

const ignore = !hasCompiler;
const N = 1000;

function launch(entryPoint: string, args: CudaLaunch["args"], more: Partial<CudaLaunch> = {}): CudaLaunch {
  return {
    label: entryPoint,
    source: "__global__ void scale(P p) __global__ void add_one(float*, int) __global__ void fault()",
    headers: {},
    entryPoint,
    defines: {},
    grid: [4, 1, 1],
    block: [256, 1, 1],
    sharedBytes: 0,
    pdl: false,
    args,
    ...more,
  };
}

/** out = in × factor + 1, in two launches. */
function program(factor: number, more: Partial<CudaLaunch> = {}): CudaProgram {
  return {
    backend: "cuda",
    buffers: [{ name: "out", bytes: 4 * N }, { name: "schedule", bytes: 8, data: new Int32Array([1, 2]) }],
    launches: [
      launch("scale", [{ struct: [{ buffer: "in" }, { buffer: "out" }, { f32: factor }, { i32: N }] }], more),
      launch("add_one", [{ buffer: "out" }, { i32: N - 1 }], { pdl: true }),
    ],
    outputs: [{ name: "out", type: "f32", shape: [N] }],
  };
}

const input: HostTensor = {
  name: "in",
  type: "f32",
  shape: [N],
  data: Float32Array.from({ length: N }, (_, i) => i),
  rotates: true,
};

/** A session over the stub, with everything that a test looks at. */
async function open(cacheFolder?: string) {
  const stub = await stubDriver();
  const { nvrtc, compiled, [Symbol.dispose]: closeNvrtc } = await stubNvrtc();
  const context = new Context(stub.driver, stub.driver.properties(0));
  const libraries = new Libraries(context);
  const compiler = new Compiler(nvrtc, [9, 0], new CompileCache(cacheFolder));
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  /** What the log had when the session let the device rest, and for how long. */
  const rests: { ms: number; log: string[] }[] = [];
  const pause = (ms: number) => Promise.resolve(void rests.push({ ms, log: stub.log() }));
  const workbench = { context, compiler, libraries, warn, pause };
  const session = await CudaSession.load(workbench, [input]);
  return {
    stub,
    session,
    workbench,
    compiled,
    warnings,
    rests,
    [Symbol.dispose]() {
      session.destroy();
      libraries.close();
      context.close();
      closeNvrtc();
      stub[Symbol.dispose]();
    },
  };
}

Deno.test({
  name: "A program runs over poisoned outputs, with its structs, PDL and shared memory as asked",
  ignore,
  fn: async () => {
    using device = await open();
    const built = await device.session.build(program(3, { sharedBytes: 100_000, cluster: [2, 1, 1] }));
    for (let time = 0; time < 2; time++) {
      const { data } = (await built.run()).get("out")!;
      assert.deepEqual([...data.slice(0, 4)], [1, 4, 7, 10]);
      assert.equal(data[N - 1], 3 * (N - 1));
    }
    const log = device.stub.log();
    // 232448 allowed, less 1024 static: the kernel's limit is raised once, and shared by programs of other sizes.
    assert(log.includes("set scale 8 = 231424"));
    const [first, second] = log.filter((line) => line.startsWith("launch"));
    assert.match(first, /^launch scale grid 4 1 1 block 256 1 1 shared 100000 stream 0x200 cluster 2 1 1 in /);
    assert.match(second, /^launch add_one grid 4 1 1 block 256 1 1 shared 0 stream 0x200 pdl 1$/);
    built.destroy();
    built.destroy(); // A second time does nothing.
    device.session.destroy();
    assert.equal(device.stub.allocated(), 0);
  },
});

Deno.test({
  name: "An output that no kernel writes is NaN",
  ignore,
  fn: async () => {
    using device = await open();
    const { buffers, launches } = program(1);
    const outputs = [{ name: "spare", type: "f32", shape: [2] }, { name: "half", type: "bf16", shape: [2] }] as const;
    const spare = [{ name: "spare", bytes: 8 }, { name: "half", bytes: 8 }];
    const built = await device.session.build({ backend: "cuda", buffers: [...buffers, ...spare], launches, outputs });
    const tensors = await built.run();
    assert.deepEqual([...tensors.get("spare")!.data], [NaN, NaN]);
    assert.deepEqual([...tensors.get("half")!.data], [0xffff, 0xffff]);
    built.destroy();
  },
});

Deno.test({
  name: "build() compiles equal launches once and records registers, spills and shared memory",
  ignore,
  fn: async () => {
    using device = await open();
    const built = await device.session.build(program(1, { sharedBytes: 2048 }));
    assert.equal(device.compiled(), 1);
    assert.equal(device.stub.log().filter((line) => line === "load library").length, 1);
    const { registers, spillBytes, sharedBytes } = built.build;
    assert.deepEqual({ registers, spillBytes, sharedBytes }, { registers: 96, spillBytes: 24, sharedBytes: 3072 });
    assert.equal(built.build["scale.spillBytes"], 12);
    assert.equal(built.build["add_one.sharedBytes"], 1024);
    built.destroy();
  },
});

for (
  const [what, change, message] of [
    ["a source that does not compile", { source: "#error" }, /^Cannot compile scale: .*identifier "nope" is undefined/],
    ["an entry point that is not there", { entryPoint: "nope" }, /find the kernel nope: CUDA_ERROR_NOT_FOUND/],
    [
      "more threads than registers allow",
      { block: [768, 1, 1] },
      /threads a block is 768, its 96 registers a thread allow 512/,
    ],
    ["an argument that is no buffer", { args: [{ buffer: "nope" }] }, /argument "nope" of scale is neither/],
  ] as const
) {
  Deno.test({
    name: `build() refuses ${what} and frees what it took`,
    ignore,
    fn: async () => {
      using device = await open();
      const before = device.stub.allocated();
      await assert.rejects(device.session.build(program(1, change)), (error) => {
        assert(error instanceof BuildError);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(device.stub.allocated(), before);
    },
  });
}

Deno.test({
  name: "build() refuses buffers that do not fit into memory, naming the buffer",
  ignore,
  fn: async () => {
    using device = await open();
    device.stub.fail("cuMemAlloc_v2", 2);
    await assert.rejects(
      device.session.build(program(1)),
      /^MemoryError: Cannot allocate 4000 bytes for out: CUDA_ERROR_OUT_OF_MEMORY/,
    );
  },
});

Deno.test({
  name: "time() gives µs a run over rotating copies, in graphs, interleaved",
  ignore,
  fn: async () => {
    using device = await open();
    const { session, stub } = device;
    const one = await session.build({ ...program(1), launches: program(1).launches.slice(0, 1) });
    const two = await session.build(program(2));
    const samples = await session.time([one, two], { samples: 5, sampleUs: 100_000, coldCache: true });
    // 10 µs a kernel, 6 where it overlaps the one before it.
    assert.deepEqual(samples.map((times) => times.map((us) => Math.round(us * 100) / 100)), [
      Array(5).fill(10),
      Array(5).fill(16),
    ]);
    const launches = stub.log().filter((line) => line.startsWith("launch scale"));
    assert.equal(new Set(launches.map((line) => line.split(" in ")[1])).size, 1024);
    assert(stub.log().includes("graph of 4096 kernels"));
    assert.deepEqual(device.warnings, []);
    one.destroy();
    two.destroy();
    session.destroy();
    assert.equal(stub.allocated(), 0);
  },
});

Deno.test({
  name: "time() with a warm cache uses the one copy that run() uses",
  ignore,
  fn: async () => {
    using device = await open();
    const built = await device.session.build(program(1));
    const [times] = await device.session.time([built], { samples: 2, sampleUs: 50, coldCache: false });
    assert.deepEqual(times.map((us) => Math.round(us * 100) / 100), [16, 16]);
    const launches = device.stub.log().filter((line) => line.startsWith("launch scale"));
    assert.equal(new Set(launches.map((line) => line.split(" in ")[1])).size, 1);
    built.destroy();
  },
});

Deno.test({
  name: "time() leaves the device idle before rested samples, and then warms it up again",
  ignore,
  fn: async () => {
    using device = await open();
    const built = await device.session.build(program(1));
    const options = { samples: 2, sampleUs: 50, coldCache: false };
    const count = (log: readonly string[]) => log.filter((line) => line === "run graph").length;
    await device.session.time([built], options);
    assert.equal(device.rests.length, 0);
    const first = count(device.stub.log());
    const [times] = await device.session.time([built], { ...options, sampleUs: 60, rested: true });
    assert.deepEqual(times.map((us) => Math.round(us * 100) / 100), [16, 16]);
    assert.deepEqual(device.rests.map(({ ms }) => ms), [500]);
    const before = count(device.stub.log());
    await device.session.time([built], { ...options, sampleUs: 70 });
    const stillWarm = count(device.stub.log()) - before;
    assert(count(device.rests[0].log) > first, "the runs that size the samples come before the rest");
    // What is measured comes after the rest, with more of a warm-up than a device has that was timed a moment ago.
    const afterRest = before - count(device.rests[0].log);
    assert(afterRest > stillWarm, `${afterRest} graphs after the rest, ${stillWarm} without one`);
    built.destroy();
  },
});

Deno.test({
  name: "time() sizes the samples of a program once, and warms up nothing that it timed a moment ago",
  ignore,
  fn: async () => {
    using device = await open();
    const [one, two] = [await device.session.build(program(1)), await device.session.build(program(2))];
    const graphs = async (programs: typeof one[]) => {
      const before = device.stub.log().length;
      await device.session.time(programs, { samples: 3, sampleUs: 50, coldCache: false });
      return device.stub.log().slice(before).filter((line) => line === "run graph").length;
    };
    await graphs([one]);
    const [again, both] = [await graphs([one]), await graphs([one, two])];
    assert.equal(again, 3); // Samples alone.
    assert.equal(both, 2 + 2 + 6); // What is new is sized by two runs, and warmed up in a round of both.
    for (const built of [one, two]) built.destroy();
  },
});

Deno.test({
  name: "time() warns where memory allows too few copies for a cold cache",
  ignore,
  fn: async () => {
    using device = await open();
    device.stub.controls.stub_free_bytes(BigInt(2 ** 30 + 4000 * 9));
    const built = await device.session.build(program(1));
    await device.session.time([built], { samples: 1, sampleUs: 1, coldCache: true });
    assert.deepEqual(device.warnings, ["warm cache: 10 of 1024 copies of the inputs fit into free memory"]);
    built.destroy();
  },
});

Deno.test("copyCount() covers the L2 cache five times, and large inputs need one copy", () => {
  const free = 100e9;
  assert.deepEqual(copyCount(19e6, 60 * 2 ** 20, free), { wanted: 17, fitting: 17 });
  assert.deepEqual(copyCount(500e6, 60 * 2 ** 20, free), { wanted: 1, fitting: 1 });
  assert.deepEqual(copyCount(100e6, 256e6, free), { wanted: 13, fitting: 13 });
  assert.deepEqual(copyCount(0, 60e6, free), { wanted: 1, fitting: 1 });
  assert.deepEqual(copyCount(100e6, 60e6, 0), { wanted: 3, fitting: 1 });
});

Deno.test({
  name: "A kernel's fault is sticky and fatal, in run() and in time(), and everything can still be destroyed",
  ignore,
  fn: async () => {
    for (const timed of [false, true]) {
      using device = await open();
      const launches = [launch("fault", [])];
      const built = await device.session.build({ backend: "cuda", buffers: [], launches, outputs: [] });
      const doing = timed ? device.session.time([built], { samples: 1, sampleUs: 1, coldCache: true }) : built.run();
      await assert.rejects(doing, (error) => {
        assert(error instanceof StickyCudaError && error.fatal);
        assert.match(error.message, /CUDA_ERROR_ILLEGAL_ADDRESS \(700\)/);
        return true;
      });
      built.destroy();
    }
  },
});

Deno.test({
  name: "A launch that fails during capture is the error that is reported, and the stream can capture again",
  ignore,
  fn: async () => {
    using device = await open();
    const built = await device.session.build(program(1));
    const options = { samples: 1, sampleUs: 1, coldCache: false };
    device.stub.fail("cuLaunchKernelEx", 1);
    await assert.rejects(device.session.time([built], options), /^CudaError: Cannot launch scale: /);
    assert.equal((await device.session.time([built], options))[0].length, 1);
    built.destroy();
  },
});

Deno.test({
  name: "load() repeats data that is shorter than its shape",
  ignore,
  fn: async () => {
    using device = await open();
    const short = { ...input, data: Float32Array.of(1, 2, 3, 4, 5) };
    const session = await CudaSession.load(device.workbench, [short]);
    const out = (await (await session.build(program(2))).run()).get("out")!;
    assert.deepEqual([...out.data].slice(0, 7), [2, 4, 6, 8, 10, 2, 4].map((value) => value + 1));
    session.destroy();
  },
});

Deno.test({
  name: "load() refuses two inputs of one name and frees what it took",
  ignore,
  fn: async () => {
    using device = await open();
    const before = device.stub.allocated();
    await assert.rejects(CudaSession.load(device.workbench, [input, input]), /^RangeError: .* two are called "in"/);
    assert.equal(device.stub.allocated(), before);
  },
});

Deno.test({
  name: "CudaSession.prepare() starts a compile that the build then waits for, and leaves its errors to the build",
  ignore,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    using device = await open(folder);
    const prepared = device.session.prepare(program(3));
    await device.session.build(program(3));
    await prepared;
    assert.equal(device.compiled(), 1); // Both launches are one unit.
    const broken = program(3);
    const [first, ...rest] = broken.launches;
    const failing = device.session.prepare({ ...broken, launches: [{ ...first, source: "#error" }, ...rest] });
    await assert.rejects(device.session.build({ ...broken, launches: [{ ...first, source: "#error" }, ...rest] }));
    await failing; // It leaves the error to the build.
    assert.equal(device.compiled(), 2); // A third would still be underway as the compiler is unloaded.
    await Deno.remove(folder, { recursive: true });
  },
});
