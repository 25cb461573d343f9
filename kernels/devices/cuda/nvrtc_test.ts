import assert from "node:assert/strict";
import { BuildError } from "../device.ts";
import { CompileCache } from "./compile_cache.ts";
import { Compiler } from "./compiler.ts";
import { LibraryError } from "./errors.ts";
import { architecture, kernelReports, Nvrtc } from "./nvrtc.ts";
import { hasCompiler, stubNvrtc } from "./stub/stub.ts";

const ignore = !hasCompiler;
const launch = { label: "stage1", source: "__global__ void scale(…)", headers: {}, defines: {} };

Deno.test("architecture() has the architecture's own instructions from compute capability 9.0", () => {
  assert.deepEqual(
    [[8, 0], [8, 9], [9, 0], [10, 0], [12, 0]].map(([major, minor]) => architecture(major, minor)),
    ["sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a"],
  );
});

Deno.test("kernelReports() reads the assembler's figures by kernel", () => {
  const log = [
    "ptxas info    : Compiling entry function 'one' for 'sm_90a'",
    "ptxas info    : Function properties for one",
    "ptxas         .     64 bytes stack frame, 60 bytes spill stores, 72 bytes spill loads",
    "ptxas info    : Used 255 registers, used 1 barriers, 64 bytes cumulative stack size",
    "ptxas info    : Compiling entry function 'two' for 'sm_90a'",
    "ptxas info    : Used 10 registers, used 0 barriers",
  ].join("\n");
  assert.deepEqual([...kernelReports(log)], [
    ["one", { registers: 255, stackBytes: 64, spillStoreBytes: 60, spillLoadBytes: 72 }],
    ["two", { registers: 10, stackBytes: 0, spillStoreBytes: 0, spillLoadBytes: 0 }],
  ]);
});

Deno.test("Nvrtc lists what it tried where there is no compiler", () => {
  assert.throws(() => new Nvrtc([{ path: "/nowhere/libnvrtc.so.13", includes: [] }]), LibraryError);
});

Deno.test({
  name: "Compiler passes architecture, headers, defines and include folders on",
  ignore,
  fn: async () => {
    using stub = await stubNvrtc();
    const compiler = new Compiler(stub.nvrtc, [9, 0], new CompileCache(undefined));
    const { log } = await compiler.compile({
      ...launch,
      headers: { "common.cuh": "struct P;" },
      defines: { MLA_HEADS: 16, BLOCK_N: 64 },
    });
    assert.deepEqual(log.split("\n").slice(0, 9), [
      "header common.cuh: struct P;",
      "option --gpu-architecture=sm_90a",
      "option --std=c++17",
      "option --device-as-default-execution-space",
      "option --generate-line-info",
      "option --ptxas-options=-v",
      "option --include-path=/headers",
      "option -DBLOCK_N=64",
      "option -DMLA_HEADS=16",
    ]);
  },
});

Deno.test({
  name: "Compiler compiles equal units once, at once or from the cache",
  ignore,
  fn: async () => {
    using stub = await stubNvrtc();
    const folder = await Deno.makeTempDir();
    const compiler = new Compiler(stub.nvrtc, [9, 0], new CompileCache(folder));
    const units = await Promise.all([1, 1, 2].map((X) => compiler.compile({ ...launch, defines: { X } })));
    assert.equal(stub.compiled(), 2);
    assert.equal(units[0].key, units[1].key);
    const again = await compiler.compile({ ...launch, label: "other", defines: { X: 2 } });
    assert.equal(stub.compiled(), 2);
    assert.deepEqual(again, units[2]);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "Compiler rejects with a BuildError: the first error in its first line, then the whole log",
  ignore,
  fn: async () => {
    using stub = await stubNvrtc();
    const compiler = new Compiler(stub.nvrtc, [9, 0], new CompileCache(undefined));
    await assert.rejects(compiler.compile({ ...launch, source: "#error" }), (error) => {
      assert(error instanceof BuildError);
      const [first, ...rest] = error.message.split("\n");
      assert.equal(first, 'Cannot compile stage1: stage1.cu(3): error: identifier "nope" is undefined');
      assert(rest.includes("1 error detected."));
      return true;
    });
    await assert.rejects(compiler.compile({ ...launch, defines: { "A B": 1 } }), BuildError);
  },
});

Deno.test({
  name: "Compiler refuses a device that its NVRTC does not know",
  ignore,
  fn: async () => {
    using stub = await stubNvrtc();
    assert.throws(
      () => new Compiler(stub.nvrtc, [10, 3], new CompileCache(undefined)),
      /^RangeError: Cannot compile for compute capability 10.3 with NVRTC 13.0 .*: expected 80, 90$/,
    );
  },
});

/** The machine's own NVRTC, where it has one: it needs no GPU. */
function realNvrtc(): Nvrtc | undefined {
  try {
    const nvrtc = Nvrtc.find(Infinity);
    if (nvrtc.includes.length > 0) return nvrtc;
    nvrtc.close();
  } catch { // None here: the stub's tests stand alone.
  }
  return undefined;
}

Deno.test("Nvrtc compiles an FP8 kernel where this machine has NVRTC", async () => {
  const nvrtc = realNvrtc();
  if (!nvrtc) return console.error("SKIPPED: no NVRTC with CUDA's headers on this machine");
  const source = `
    #include <cuda_fp8.h>
    #include "scale.cuh"
    extern "C" __global__ void dequantise(const __nv_fp8_e4m3 *in, float *out, int n) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) out[i] = scaled(float(in[i]), FACTOR);
    }`;
  const unit = {
    label: "dequantise",
    source,
    headers: { "scale.cuh": "__device__ inline float scaled(float x, float f) { return x * f; }" },
  };
  for (const capability of [[8, 0], [9, 0]] as [number, number][]) {
    const options = [...nvrtc.options(...capability), "-DFACTOR=3.0f"];
    const { cubin, log } = await nvrtc.compile({ ...unit, options });
    assert.deepEqual([...cubin.subarray(0, 4)], [0x7f, ...new TextEncoder().encode("ELF")]);
    assert(kernelReports(log).get("dequantise")!.registers > 0);
    await assert.rejects(nvrtc.compile({ ...unit, options: nvrtc.options(...capability) }), (error) => {
      assert(error instanceof BuildError);
      assert.match(error.message, /^Cannot compile dequantise: .*error: identifier "FACTOR" is undefined\n/);
      return true;
    });
  }
  nvrtc.close();
});
