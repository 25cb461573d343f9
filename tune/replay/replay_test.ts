import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { listing } from "../search/listing.ts";
import type { Strategy } from "../search/strategy.ts";
import { SYNTHETIC, syntheticCost } from "../testing/synthetic_space.ts";
import { bayesian } from "../search/bayesian.ts";
import { exhaustive } from "../search/exhaustive.ts";
import { random } from "../search/random.ts";
import { recordingOf } from "./recording.ts";
import { foundAt, meanAt, medianAt, replay } from "./replay.ts";

const configs = [1, 2, 3, 4].map((a) => ({ a }));
const SMALL = recordingOf({
  name: "small",
  params: [{ name: "a", values: [1, 2, 3, 4], recompiles: true }],
  entries: [undefined, 4, 2, 3].map((cost, i) => ({ config: configs[i], cost })),
});

Deno.test("replay() counts failures as evaluations and divides by the optimum", () => {
  const result = replay(SMALL, exhaustive, 6, 1);
  deepStrictEqual(result.curves, [[Infinity, 2, 1, 1, 1, 1]]);
  strictEqual(result.failed, 1);
  strictEqual(medianAt(result, 2), 2);
  strictEqual(meanAt([result, replay(SMALL, exhaustive, 2, 1)], 2), 2);
});

Deno.test("replay() gives each seed a run of its own, and foundAt() the share of those that came close", () => {
  const seeds: number[] = [];
  const fixed = (_: unknown, seed: number): Strategy => {
    seeds.push(seed);
    return { ask: () => configs[seed], tell() {} };
  };
  const result = replay(SMALL, fixed, 1, 3);
  deepStrictEqual(seeds, [1, 2, 3]);
  deepStrictEqual(result.curves, [[2], [1], [1.5]]);
  strictEqual(foundAt(result, 1), 1 / 3);
  strictEqual(foundAt(result, 1, 0.5), 2 / 3);
});

Deno.test("bayesian is far ahead of random on a recording of a made-up space", () => {
  const entries = listing(SYNTHETIC)!.map((config) => ({ config, cost: syntheticCost(config) }));
  const recording = recordingOf({ name: "synthetic", params: SYNTHETIC.params, entries });
  const [ours, theirs] = [bayesian, random].map((strategy) => replay(recording, strategy, 100, 4));
  ok(medianAt(ours, 100) < 1.03, `${medianAt(ours, 100)}`);
  ok(medianAt(theirs, 100) > 1.1, `${medianAt(theirs, 100)}`);
});
