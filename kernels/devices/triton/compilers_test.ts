import { deepStrictEqual, ok, strictEqual } from "node:assert";
import type { TritonProgram } from "../device.ts";
import { Compilers } from "./compilers.ts";
import type { Python } from "./python.ts";
import { startPython, tritonMissing } from "./testing.ts";

/** A program that differs from another by one constant. */
const program = (size: number, module = "m.py"): TritonProgram => ({
  backend: "triton",
  buffers: [{ name: "y", bytes: 400 }],
  launches: [{
    label: "copy",
    module,
    function: "twice",
    args: {
      x: { tensor: "x", type: "f32" },
      y: { tensor: "y", type: "f32" },
      n: { value: 96 },
      factor: { f32: 2 },
      BLOCK: { value: size },
    },
    grid: [2, 1, 1],
    options: { num_warps: 4 },
  }],
  outputs: [{ name: "y", type: "f32", shape: [100] }],
});

/** Processes whose answers the test gives. */
function processes() {
  const asked: { readonly block: number; readonly answer: (error?: Error) => void }[] = [];
  let started = 0;
  const start = () => {
    started++;
    // deno-lint-ignore no-explicit-any
    const request = ({ program }: any) =>
      new Promise<void>((done, fail) => {
        const block = program.launches[0].args.BLOCK.value;
        asked.push({ block, answer: (error) => error ? fail(error) : done() });
      });
    return Promise.resolve({ request, close: () => Promise.resolve() } as unknown as Python);
  };
  return { asked, start, started: () => started };
}

/** Lets everything happen that waits for nothing. */
const settle = () => new Promise((done) => setTimeout(done, 0));

Deno.test("Compilers compile each program once, in as many processes as there is work for", async () => {
  const { asked, start, started } = processes();
  const compilers = new Compilers(start, 3, 2);
  strictEqual(started(), 0);
  for (const size of [16, 32, 16, 64]) compilers.prepare(program(size));
  await settle();
  deepStrictEqual([started(), asked.map(({ block }) => block)], [2, [16, 32]]);
  asked[0].answer();
  await settle();
  deepStrictEqual(asked.map(({ block }) => block), [16, 32, 64]);
});

Deno.test("Compilers let a build wait for what has begun, and take what has not out of the queue", async () => {
  const { asked, start } = processes();
  const compilers = new Compilers(start, 0, 1);
  for (const size of [16, 32, 64]) compilers.prepare(program(size));
  await settle();
  let built = false;
  const waiting = compilers.settled(program(16)).then(() => built = true);
  await compilers.settled(program(32)); // At once: it is compiled by the build instead.
  await compilers.settled(program(128)); // Never prepared.
  strictEqual(built, false);
  asked[0].answer(new Error("it does not compile")); // Which the build will meet and say.
  await waiting;
  await settle();
  deepStrictEqual(asked.map(({ block }) => block), [16, 64]);
});

const ignore = await tritonMissing("what Triton compiles for another process") !== undefined;

/** A device that is not here, for what is compiled and not launched. */
const HASHES = `
import torch, triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from kvtune_triton.program import Program, options_of, warm

class Hopper:
    def get_current_device(self): return 0
    def get_current_stream(self, device): return 0
    def get_current_target(self): return GPUTarget("cuda", 90, 32)

@triton.jit
def twice(x, y, n, factor, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, factor * tl.load(x + at, mask=at < n), mask=at < n)

def hashes(program):
    driver.set_active(Hopper())  # For the rest of the process: there is no other device to go back to.
    inputs = {"x": torch.zeros(400, dtype=torch.uint8)}
    class Inputs(dict):
        def bytes_of(self, name, copy): return self[name]
    built = Program(program, Inputs(inputs), "cpu")
    real = [
        function.warmup(**arguments, **options_of(launch), grid=tuple(launch["grid"])).hash
        for launch, function, arguments in zip(program["launches"], built._functions, built._bind(0))
    ]
    return [warm(program), real]
`;

Deno.test({
  name: "what a process compiles over stand-ins is what a build over tensors looks for in Triton's cache",
  ignore,
  fn: async () => {
    const folder = Deno.makeTempDirSync({ prefix: "kvtune-" });
    const module = `${folder}/module.py`;
    Deno.writeTextFileSync(module, HASHES);
    const python = await startPython({ TRITON_INTERPRET: undefined });
    for (const size of [64, 128]) {
      const args = { program: program(size, module) };
      const { result } = await python.request({ op: "call", module, function: "hashes", args });
      const [warmed, real] = result as string[][];
      strictEqual(warmed.length, 1);
      ok(/^[0-9a-f]{32,}$/.test(warmed[0]), warmed[0]);
      deepStrictEqual(warmed, real);
    }
    await python.close();
    Deno.removeSync(folder, { recursive: true });
  },
});
