import { ok, strictEqual } from "node:assert";
import { bayesian } from "../search/bayesian.ts";
import { random } from "../search/random.ts";
import { readRecordings } from "./read.ts";
import { foundAt, replay } from "./replay.ts";

const FOLDER = new URL("./recordings/", import.meta.url).pathname;

/** Our own spaces, recorded exhaustively on their devices. */
const recordings = [...Deno.readDirSync(FOLDER)].filter(({ name }) => name.endsWith(".json.gz"))
  .flatMap(({ name }) => readRecordings(FOLDER + name));

for (const recording of recordings) {
  Deno.test(`bayesian finds the best of ${recording.name} within 1 % in a tenth of the evaluations`, () => {
    const budget = Math.floor(recording.entries.length / 10);
    const ours = foundAt(replay(recording, bayesian, budget, 10), budget, 0.01);
    ok(ours >= 0.9, `${ours} of the seeds in ${budget} evaluations`);
    ok(foundAt(replay(recording, random, budget, 10), budget, 0.01) < ours);
  });
}

Deno.test("recordings hold every config that their sweeps measured", () => {
  strictEqual(recordings.find(({ name }) => name.includes("llvmpipe"))?.entries.length, 200);
});
