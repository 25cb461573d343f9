import { ok, strictEqual } from "node:assert";
import { type PassTimer, type Recorder, timeOnDevice } from "./webgpu_timing.ts";

/** A device whose n-th pass takes `ns(n)` for each run in it. */
function device(ns: (pass: number) => number) {
  let passes = 0;
  const timer: PassTimer = {
    time(records: readonly Recorder[]) {
      return Promise.resolve(records.map((record) => {
        let runs = 0;
        record({ count: () => runs++ } as unknown as GPUComputePassEncoder);
        return ns(passes++) * runs;
      }));
    },
    destroy() {},
  };
  const program = { record: (pass: GPUComputePassEncoder) => void (pass as unknown as { count(): void }).count() };
  return {
    passes: () => passes,
    time: (samples: number) =>
      timeOnDevice(timer, { raise: () => Promise.resolve() }, [program, program], {
        samples,
        sampleUs: 100,
        coldCache: true,
      }),
  };
}

Deno.test("timeOnDevice() takes no sample before the device is steady", async () => {
  const { time } = device((pass) => 10_000 * (1 + Math.max(0, 30 - pass) / 30));
  for (const row of await time(5)) {
    strictEqual(row.length, 5);
    ok(row.every((us) => us < 10.3), `${row}`);
  }
});

Deno.test("timeOnDevice() gives up on a device that never settles, and its samples show it", async () => {
  const { time, passes } = device((pass) => pass % 4 < 2 ? 10_000 : 15_000);
  const [row] = await time(8);
  ok(Math.max(...row) > 1.4 * Math.min(...row), `${row}`);
  ok(passes() < 100, `${passes()} passes`);
});
