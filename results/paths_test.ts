import assert from "node:assert/strict";
import fc from "fast-check";
import { deviceSlug, resultsPath } from "./paths.ts";
import { sampleResults } from "./testing/samples.ts";

Deno.test("resultsPath() is kernel, backend, device and problem, whether by name, by fields or from a results file", () => {
  const expected = "mla_decode/cuda/nvidia-h200/heads16-batch1-fp8_e4m3.json";
  const key = { kernel: "mla_decode", backend: "cuda" };
  assert.equal(resultsPath({ ...key, device: "NVIDIA H200", problem: "heads16-batch1-fp8_e4m3" }), expected);
  const problem = { heads: 16, batch: 1, kvType: "fp8_e4m3" };
  assert.equal(resultsPath({ ...key, device: { name: "NVIDIA H200" }, problem }), expected);
  assert.equal(resultsPath(sampleResults()), expected);
  const named = { ...problem, latent: 256, name: "heads16-batch1-fp8_e4m3-latent256" };
  assert.equal(resultsPath({ ...key, device: "NVIDIA H200", problem: named }).split("/")[3], `${named.name}.json`);
});

Deno.test("deviceSlug() keeps letters, digits, _ and ., and joins the rest with one -", () => {
  assert.equal(deviceSlug("llvmpipe (LLVM 15.0.6, 256 bits)"), "llvmpipe-llvm-15.0.6-256-bits");
  assert.equal(deviceSlug("  AMD Radeon™ RX 7900 XTX / RADV "), "amd-radeontm-rx-7900-xtx-radv");
  assert.equal(deviceSlug("Ünité_1"), "unite_1");
});

Deno.test("resultsPath() refuses what has no name in a path, naming it", () => {
  const key = { kernel: "mla_decode", backend: "cuda", device: "NVIDIA H200", problem: "p" };
  assert.throws(() => resultsPath({ ...key, device: "…" }), /device "…": expected 1 to 120 letters/);
  assert.throws(() => resultsPath({ ...key, device: "x".repeat(121) }), RangeError);
  assert.throws(() => resultsPath({ ...key, kernel: "../etc" }), /kernel "..\/etc": expected a name matching/);
  assert.throws(() => resultsPath({ ...key, backend: "" }), /backend ""/);
  assert.throws(
    () => resultsPath({ ...key, problem: { heads: 16 } }),
    /problem {"heads":16}: expected a name, or heads/,
  );
});

Deno.test("resultsPath() never leaves its folder, whatever the device and problem are called", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.string(), (device, problem) => {
    let path;
    try {
      path = resultsPath({ kernel: "k", backend: "b", device, problem });
    } catch (error) {
      return error instanceof RangeError;
    }
    return /^k\/b\/[a-z0-9_][a-z0-9_.-]*\/[a-z0-9_][a-z0-9_.-]*\.json$/.test(path) && path.split("/").length === 4;
  }));
});
