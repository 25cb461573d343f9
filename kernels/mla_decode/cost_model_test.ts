import { ok, strictEqual } from "node:assert";
import { estimateUs, type Shape } from "./cost_model.ts";

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
