import assert from "node:assert/strict";
import { LibraryError } from "../devices/cuda/errors.ts";
import { kernelReports, Nvrtc } from "../devices/cuda/nvrtc.ts";
import { testDevice } from "../mla_decode/cuda/testing.ts";
import { floorUs, rooflinePrograms } from "./roofline.ts";

Deno.test("floorUs() is the larger of the times of bytes and of operations", () => {
  const roofline = { bytesPerSecond: 4e12, flops: 8e14 };
  assert.equal(floorUs({ bytes: 4e6, flops: 1 }, roofline), 1);
  assert.equal(floorUs({ bytes: 1, flops: 1.6e9 }, roofline), 2);
  assert.equal(floorUs({ bytes: 4e6, flops: 1.6e9 }, { bytesPerSecond: 4e12 }), 1);
});

const nvrtc = (() => {
  try {
    return Nvrtc.find(13);
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    console.error("SKIPPED: no NVRTC on this machine, so the roofline's sources are not compiled");
  }
})();

for (const [capability, kernels] of [[80, 1], [90, 2], [120, 1]]) {
  Deno.test({
    name: `rooflinePrograms() compile without spills for compute capability ${capability / 10}`,
    ignore: nvrtc === undefined,
    fn: async () => {
      const launches = rooflinePrograms(testDevice(capability)).flatMap((program) => program.launches);
      assert.equal(launches.length, kernels);
      for (const { label, source, headers, entryPoint } of launches) {
        const options = nvrtc!.options(Math.floor(capability / 10), capability % 10);
        const { log } = await nvrtc!.compile({ label, source, headers, options });
        assert.equal(kernelReports(log).get(entryPoint)?.spillStoreBytes, 0, entryPoint);
      }
    },
  });
}
