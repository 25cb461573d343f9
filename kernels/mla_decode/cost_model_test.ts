import { ok, strictEqual } from "node:assert";
import { estimateUs, type Shape } from "./cost_model.ts";
import { estimateCudaUs } from "./cuda/cost_model.ts";
import { testDevice } from "./cuda/testing.ts";
import { storedForH200 } from "./testing.ts";
import { estimateTritonUs } from "./triton/cost_model.ts";

const SHAPE: Shape = {
  blocks: 132,
  slots: 132,
  smCount: 132,
  blockBytes: 576 * 256,
  partialBytes: 132 * 16 * 1028,
  mergeBlocks: 128,
  beside: true,
};

/** 16 heads, batch 1, so many tokens in so many splits. */
const split = (tokens: number, splits: number): number =>
  estimateUs({
    ...SHAPE,
    blocks: splits,
    blockBytes: 576 * Math.ceil(tokens / splits),
    partialBytes: splits * 16 * 1028,
  });

Deno.test("estimateUs() fills the device with a long context, and does not cut a short one to pieces", () => {
  ok(split(131072, 132) < split(131072, 32) && split(131072, 32) < split(131072, 1));
  ok(split(1024, 16) < split(1024, 528) && split(1024, 16) < split(1024, 1));
});

Deno.test("estimateUs() sees that a wave of one block costs as much as a whole wave", () => {
  strictEqual(
    estimateUs({ ...SHAPE, blocks: 133 }),
    estimateUs({ ...SHAPE, blocks: 264 }),
  );
  ok(estimateUs({ ...SHAPE, blocks: 133 }) > 1.5 * estimateUs(SHAPE));
});

for (
  const { backend, estimate, factor } of [
    { backend: "cuda", estimate: estimateCudaUs, factor: 1.35 },
    { backend: "triton", estimate: estimateTritonUs, factor: 2 },
  ]
) {
  Deno.test(`The cost model of ${backend} is within a factor of ${factor} of every time that an H200's results have`, () => {
    const entries = [...storedForH200(backend)];
    ok(entries.length > 0);
    for (const { name, smCount, contextLen, problem, config, evidence: { us } } of entries) {
      const guess = estimate(problem, config, { ...testDevice(), smCount });
      ok(
        Math.abs(Math.log(guess / us)) < Math.log(factor),
        `${name}, ${smCount} SMs, ${contextLen}: ${guess} where ${us} was measured`,
      );
    }
  });
}
