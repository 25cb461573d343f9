import { deepStrictEqual, strictEqual } from "node:assert";
import { parsePlanText } from "./plan.ts";
import { type DeviceType, placeOf, selects, targetsOf, targetText, typeKey } from "./targets.ts";

const H200: DeviceType = { backend: "cuda", name: "NVIDIA H200", smCount: 132 };
const SOFTWARE: DeviceType = { backend: "webgpu", name: "llvmpipe (LLVM 15.0.6, 256 bits)", smCount: 2 };

function planned(entry: string, devices: readonly DeviceType[]) {
  const text = `version: 1\ntune: [{ kernel: mla_decode, problems: [{ heads: 16 }], ${entry} }]`;
  return targetsOf(parsePlanText(text, "plan.yaml"), devices);
}

Deno.test("selects() takes what a selector leaves open, and does not mind a name's punctuation", () => {
  strictEqual(selects({}, H200), true);
  strictEqual(selects({ name: "nvidia-h200" }, H200), true);
  strictEqual(selects({ backend: "webgpu", name: "NVIDIA H200" }, H200), false);
  strictEqual(selects({ name: "NVIDIA H200", smCount: 114 }, H200), false);
});

Deno.test("targetsOf() gives each kind of device its targets once, however many devices of the kind there are", () => {
  const targets = planned("contexts: [1k, 2k]", [H200, { ...H200 }, SOFTWARE]);
  deepStrictEqual(targets.map(({ device, contextLen }) => [typeKey(device), contextLen]), [
    ["cuda.nvidia-h200.132", 1024],
    ["cuda.nvidia-h200.132", 2048],
    ["webgpu.llvmpipe-llvm-15.0.6-256-bits.2", 1024],
    ["webgpu.llvmpipe-llvm-15.0.6-256-bits.2", 2048],
  ]);
});

Deno.test("targetsOf() names a device that nobody has where the selector says all of it", () => {
  const named = "contexts: [1k], devices: [{ backend: cuda, name: NVIDIA B200, smCount: 148 }, { backend: triton }]";
  deepStrictEqual(planned(named, [H200]).map(({ device }) => typeKey(device)), ["cuda.nvidia-b200.148"]);
});

Deno.test("targetsOf() leaves out partitions larger than a device", () => {
  const targets = planned("contexts: [1k], smCounts: [132, 64, 2]", [H200, SOFTWARE]);
  deepStrictEqual(targets.map(({ device, partition }) => [device.backend, partition]), [
    ["cuda", 132],
    ["cuda", 64],
    ["cuda", 2],
    ["webgpu", 2],
  ]);
});

Deno.test("placeOf() is where a sweep of the target writes", () => {
  const [target] = planned("contexts: [1k], smCounts: [64]", [H200]);
  deepStrictEqual(placeOf(target), {
    path: "mla_decode/cuda/nvidia-h200/heads16-batch1-fp8_e4m3.json",
    size: { smCount: 64, contextLen: 1024 },
  });
  strictEqual(targetText(target), "mla_decode heads16-batch1-fp8_e4m3, context 1024, 64 SMs of NVIDIA H200 (cuda)");
});
