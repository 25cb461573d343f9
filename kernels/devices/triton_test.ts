import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert";
import { BuildError, type DeviceInfo, type TritonProgram } from "./device.ts";
import { Python, PythonError, tritonBackend } from "./triton.ts";
import { TritonError } from "./triton/python.ts";
import { TritonSession } from "./triton/session.ts";
import { startPython, tritonMissing } from "./triton/testing.ts";

const ignore = await tritonMissing("the Triton backend") !== undefined;

/** Runs a test with a Python file of this text, and removes it. */
async function withModule(source: string, test: (path: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "kvtune-" });
  Deno.writeTextFileSync(`${folder}/module.py`, source);
  await test(`${folder}/module.py`);
  Deno.removeSync(folder, { recursive: true });
}

const COPY = `
import triton
import triton.language as tl

@triton.jit
def twice(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, 2.0 * tl.load(x + at, mask=at < n), mask=at < n)

def nothing(y):
    pass

def fails(y):
    raise ValueError("nothing is right here")
`;

const program = (module: string, name: string, fields: Partial<TritonProgram["launches"][0]> = {}): TritonProgram => ({
  backend: "triton",
  buffers: [{ name: "y", bytes: 400 }],
  launches: [{
    label: "copy",
    module,
    function: name,
    args: { y: { tensor: "y", type: "f32" } },
    options: {},
    ...fields,
  }],
  outputs: [{ name: "y", type: "f32", shape: [100] }],
});

const twice = (module: string) =>
  program(module, "twice", {
    args: {
      x: { tensor: "x", type: "f32" },
      y: { tensor: "y", type: "f32" },
      n: { value: 100 },
      BLOCK: { value: 64 },
    },
    grid: [2, 1, 1],
    options: { num_warps: 4 },
  });

Deno.test("Python.start() says that there is no such program, and how to name another", async () => {
  await rejects(Python.start("python3-that-is-not"), (error) => {
    ok(error instanceof PythonError);
    ok(/Cannot start Python as "python3-that-is-not": .*--python or KVTUNE_PYTHON/.test(error.message), error.message);
    return true;
  });
});

Deno.test({
  name: "TritonSession runs a kernel over inputs that repeat, poisons what it does not write, and times it",
  ignore,
  fn: () =>
    withModule(COPY, async (module) => {
      const python = await startPython({ TRITON_INTERPRET: "1" });
      const { device } = await python.request({ op: "open", device: 0 }) as unknown as { device: DeviceInfo };
      deepStrictEqual([device.backend, device.software, device.smCountSource], ["triton", true, "threads"]);
      const x = { name: "x", type: "f32" as const, shape: [100], data: Float32Array.of(1, 2, 3) };
      const session = await TritonSession.load(python, [x], console.warn);
      const built = await session.build(twice(module));
      const y = (await built.run()).get("y")!.data;
      deepStrictEqual([...y.slice(0, 4), y[99]], [2, 4, 6, 2, 2]);
      const samples = await session.time([built, built], { samples: 3, sampleUs: 1, coldCache: true });
      deepStrictEqual(samples.map((row) => row.length), [3, 3]);
      ok(samples.flat().every((us) => us > 0));
      const idle = await session.build(program(module, "nothing"));
      ok(Number.isNaN((await idle.run()).get("y")!.data[0]));
      await python.close();
    }),
});

Deno.test({
  name: "TritonSession tells what cannot be built from what fails as it runs, and Python goes on after both",
  ignore,
  fn: () =>
    withModule(COPY, async (module) => {
      const python = await startPython({ TRITON_INTERPRET: "1" });
      await python.request({ op: "open", device: 0 });
      const session = await TritonSession.load(python, [], console.warn);
      await rejects(session.build(program(module, "missing")), BuildError);
      await rejects(session.build({ backend: "cuda", buffers: [], launches: [], outputs: [] }), BuildError);
      const built = await session.build(program(module, "fails"));
      await rejects(built.run(), (error) => {
        ok(error instanceof TritonError && !error.fatal);
        strictEqual(error.message, "nothing is right here");
        return true;
      });
      strictEqual(((await python.request({ op: "list" })).devices as unknown[]).length, 1);
      await python.close();
    }),
});

Deno.test({
  name: "tritonBackend() refuses a part of a device, which Triton cannot cut",
  ignore,
  fn: async () => {
    Deno.env.set("TRITON_INTERPRET", "1");
    try {
      const backend = tritonBackend("python3");
      strictEqual((await backend.list())[0].name, "Triton interpreter");
      await rejects(backend.open(0, { smCount: 1000 }), /Cannot use 1000 SMs of Triton interpreter/);
    } finally {
      Deno.env.delete("TRITON_INTERPRET");
    }
  },
});

Deno.test({
  name: "Python ends with its caller, whatever it is busy with",
  ignore,
  fn: () =>
    withModule("import time\ndef wait():\n    time.sleep(3600)\n", async (module) => {
      const python = await startPython();
      const waiting = rejects(
        python.request({ op: "call", module, function: "wait", args: {} }),
        /ended without an answer/,
      );
      await python.close(); // Would last an hour.
      await waiting;
    }),
});
