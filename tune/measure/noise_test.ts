import { ok, strictEqual } from "node:assert";
import { measureNoise, noiseOf } from "./noise.ts";
import { Timekeeper } from "./timekeeper.ts";
import { SimulatedDevice, type SimulationPlan } from "../testing/simulated_device.ts";
import type { TimeReply } from "../worker/protocol.ts";

function measured(plan: SimulationPlan) {
  const device = new SimulatedDevice(plan);
  const keeper = new Timekeeper((configs, samples) =>
    Promise.resolve(device.answer({ op: "time", configs, samples, sampleUs: 1, coldCache: true }) as TimeReply)
  );
  return measureNoise({ BLOCK_N: 32 }, keeper);
}

Deno.test("measureNoise() finds the deviation of a round's ratio, √2 times a sample's", async () => {
  const { deviation, floor } = await measured({ noise: 0.05, drift: 0.2, seed: 3 });
  ok(deviation > 0.03 && deviation < 0.13, `${deviation}`);
  ok(floor > 0.01 && floor < 0.1, `${floor}`);
});

Deno.test("measureNoise() of a quiet device is next to nothing", async () => {
  const { deviation, floor, bias } = await measured({});
  ok(deviation < 1e-5 && floor < 1e-5 && bias < 1e-5, `${deviation} ${floor} ${bias}`);
});

Deno.test("measureNoise() calls a bias real in 5 % of 400 devices that have none, or fewer", async () => {
  let real = 0;
  for (let seed = 1; seed <= 400; seed++) {
    if ((await measured({ noise: 0.05, drift: 0.2, outliers: 0.02, clockSteps: 0.3, seed })).bias > 0) real++;
  }
  ok(real <= 20, `${real} of 400`);
});

Deno.test("noiseOf() has a bias where the interval excludes 1, as large as chance cannot explain", () => {
  strictEqual(noiseOf([0.99, 1.02], 0.01).bias, 0);
  ok(Math.abs(noiseOf([0.99, 1.02], 0.01).floor - 0.02) < 1e-12);
  ok(Math.abs(noiseOf([1.03, 1.05], 0.01).bias - 0.03) < 1e-12);
  ok(Math.abs(noiseOf([0.95, 0.98], 0.01).bias - 0.02) < 1e-12);
});
