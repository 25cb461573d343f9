/**
 * The whole way from candidate to verdict, over a hundred configs on a device with 5 % noise, 20 % drift, outliers and
 * clock steps, for 200 seeds. Each seed is another device and another space.
 */
import { ok } from "node:assert";
import { configKey, configs } from "../../kernels/space.ts";
import { SimulatedDevice } from "../testing/simulated_device.ts";
import { SIMULATED_BASELINE, SIMULATED_SPACE, simulatedTask, simulatedTimes } from "../testing/simulated_task.ts";
import type { TimeReply } from "../worker/protocol.ts";
import { costOf } from "./finalists.ts";

const SEEDS = Array.from({ length: 200 }, (_, i) => i + 1);
const NOISY = { noise: 0.05, drift: 0.2, outliers: 0.02, clockSteps: 0.3 };
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const close = (us: Record<string, number>, key: string) => us[key] <= 1.01 * Math.min(...Object.values(us));

/** The config that looks best after `rounds` rounds of each beside the baseline. */
function bestOfFixedCount(us: Record<string, number>, seed: number, rounds: number): string {
  const device = new SimulatedDevice({ ...NOISY, us, seed });
  let best = { key: "", cost: Infinity };
  for (const config of configs(SIMULATED_SPACE)) {
    const pair = { configs: [SIMULATED_BASELINE, config], samples: rounds, sampleUs: 1, coldCache: true };
    const { samples } = device.answer({ op: "time", ...pair }) as TimeReply;
    const cost = costOf(samples[1], samples[0]);
    if (cost < best.cost) best = { key: configKey(config), cost };
  }
  return best.key;
}

Deno.test("A task chooses within 1 % of the true best in 95 % of 200 runs, with 40 % of a fixed count's samples", async () => {
  let good = 0;
  let samples = 0;
  let missed = 0;
  for (const seed of SEEDS) {
    const us = simulatedTimes(seed);
    const { report: { verdict }, device } = await simulatedTask({ ...NOISY, us, seed });
    const key = configKey(verdict.config);
    if (close(us, key)) good++;
    samples += device.samples / SEEDS.length;
    const truth = us[configKey(SIMULATED_BASELINE)] / us[key];
    const [low, high] = verdict.speedupInterval;
    if (truth < low || truth > high) missed++;
  }
  // So many rounds of each config that racing takes 40 % of their samples.
  const rounds = Math.floor(samples / 0.4 / (2 * Object.keys(simulatedTimes(1)).length));
  const fixed = SEEDS.filter((seed) =>
    close(simulatedTimes(seed), bestOfFixedCount(simulatedTimes(seed), seed, rounds))
  );
  console.log(
    `chosen within 1 % of the best: ${
      percent(good / SEEDS.length)
    } of the runs with ${samples.toFixed()} samples each; ` +
      `a fixed count with 2.5 times as many (${rounds} rounds): ${percent(fixed.length / SEEDS.length)}; ` +
      `true speed-ups outside their 95 % interval: ${percent(missed / SEEDS.length)}`,
  );
  ok(good >= 0.95 * SEEDS.length, `${good} of ${SEEDS.length}`);
  ok(fixed.length < good, `${fixed.length} of ${SEEDS.length} with a fixed count`);
  ok(missed <= 0.08 * SEEDS.length, `${missed} intervals missed`);
});

Deno.test("A task over a hundred names of one and the same program claims a speed-up in 5 % of 200 runs at most", async () => {
  const us = Object.fromEntries(Object.keys(simulatedTimes(1)).map((key) => [key, 100]));
  let real = 0;
  for (const seed of SEEDS) {
    const { report: { verdict } } = await simulatedTask({ ...NOISY, us, seed });
    if (verdict.chosen === "tuned") real++;
  }
  console.log(`A/A differences declared real: ${percent(real / SEEDS.length)} of the runs`);
  ok(real <= 0.05 * SEEDS.length, `${real} of ${SEEDS.length}`);
});
