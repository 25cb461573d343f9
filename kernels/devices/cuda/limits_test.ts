import assert from "node:assert/strict";
import { BuildError, type CudaLaunch } from "../device.ts";
import type { DeviceProperties } from "./driver.ts";
import { checkKernel, checkLaunch } from "./limits.ts";

const properties = {
  name: "NVIDIA H200",
  threadsPerBlock: 1024,
  blockX: 1024,
  blockY: 1024,
  blockZ: 64,
  gridX: 2 ** 31 - 1,
  gridY: 65535,
  gridZ: 65535,
  sharedBytesPerBlockOptIn: 232448,
  major: 9,
  minor: 0,
} as DeviceProperties;
const limits = { properties, hasClusters: true };
const launch: CudaLaunch = {
  label: "stage1",
  source: "",
  headers: {},
  entryPoint: "k",
  defines: {},
  grid: [132, 1, 1],
  block: [256, 1, 1],
  sharedBytes: 232448,
  pdl: true,
  args: [],
};

Deno.test("checkLaunch() admits a launch at the limits", () => {
  checkLaunch({ ...launch, cluster: [2, 1, 1], block: [1024, 1, 1] }, limits);
});

for (
  const [what, change, message] of [
    [
      "shared memory",
      { sharedBytes: 232449 },
      /shared memory in bytes a block is 232449, NVIDIA H200 allows 0 to 232448/,
    ],
    ["threads", { block: [1024, 2, 1] }, /threads a block is 2048, NVIDIA H200 allows 1 to 1024/],
    ["an empty grid", { grid: [0, 1, 1] }, /gridX is 0/],
    ["a tall grid", { grid: [1, 65536, 1] }, /gridY is 65536, NVIDIA H200 allows 1 to 65535/],
    ["large clusters", { grid: [32, 1, 1], cluster: [32, 1, 1] }, /cluster's width is 32, NVIDIA H200 allows 1 to 16/],
    ["an uneven cluster", { cluster: [8, 1, 1] }, /a grid of 132×1×1 is no multiple of clusters of 8×1×1/],
  ] as const
) {
  Deno.test(`checkLaunch() refuses ${what}, with the limit, the value and the most`, () => {
    assert.throws(() => checkLaunch({ ...launch, ...change }, limits), (error) => {
      assert(error instanceof BuildError);
      assert.match(error.message, /^Cannot launch stage1: /);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("checkLaunch() refuses PDL and clusters where the device has none", () => {
  const ampere = { properties: { ...properties, major: 8 }, hasClusters: false };
  assert.throws(() => checkLaunch(launch, ampere), /programmatic dependent launch, which compute capability 8 has not/);
  assert.throws(() => checkLaunch({ ...launch, pdl: false, cluster: [2, 1, 1] }, ampere), /clusters of 2×1×1 blocks/);
});

Deno.test("checkKernel() counts static shared memory and the registers' limit on threads", () => {
  const kernel = { threadsPerBlock: 256, sharedBytes: 0, localBytes: 0, registers: 255 };
  checkKernel(launch, kernel, limits);
  assert.throws(
    () => checkKernel({ ...launch, block: [288, 1, 1] }, kernel, limits),
    /255 registers a thread allow 256/,
  );
  const padded = { ...kernel, sharedBytes: 16 };
  assert.throws(() => checkKernel(launch, padded, limits), /a block is 232464 \(16 of it static\)/);
});
