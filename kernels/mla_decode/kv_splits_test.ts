import assert from "node:assert/strict";
import fc from "fast-check";
import {
  kvSplitsCap,
  mulWide,
  numKvSplits,
  servedExtent,
  servedExtentFixed,
  servedKvSplits,
  splitLength,
  waveChunk,
  waveKvSplits,
} from "./kv_splits.ts";

const SM_COUNTS = [2, 8, 16, 20, 46, 56, 64, 66, 78, 84, 96, 108, 114, 128, 132, 144, 148, 160, 170, 188];

const lengths = (max: number) => fc.array(fc.nat({ max }), { maxLength: 40 });

Deno.test("kvSplitsCap() is the lesser of SM count and tiles of 32, each as a power of two, and at least the base", () => {
  const cases: [number, number | undefined, number, number][] = [
    [8, 132, 32768, 256],
    [8, 128, 32768, 128],
    [8, 132, 1024, 32],
    [8, 132, 1025, 64],
    [8, 132, 1, 8],
    [8, 132, 0, 8],
    [8, 2, 32768, 8],
    [16, 2, 32768, 16],
    [8, undefined, 32768, 8],
  ];
  for (const [base, smCount, maxContextLen, cap] of cases) {
    assert.equal(kvSplitsCap(base, smCount, maxContextLen), cap, `${base} ${smCount} ${maxContextLen}`);
  }
});

Deno.test("kvSplitsCap() names an argument out of its range", () => {
  assert.throws(() => kvSplitsCap(0, 132, 1024), /base is 0, expected an integer from 1/);
  assert.throws(() => kvSplitsCap(8, 1.5, 1024), /smCount is 1.5/);
  assert.throws(() => kvSplitsCap(8, 132, NaN), /maxContextLen is NaN/);
});

Deno.test("servedKvSplits() gives the served counts on 132 SMs", () => {
  const served = (heads: number, batch: number, contextLen: number) => {
    const splits = servedKvSplits({ contextLens: Array(batch).fill(contextLen), heads, smCount: 132, cap: 256 });
    assert.equal(new Set(splits).size, 1);
    return splits[0];
  };
  assert.equal(served(16, 1, 32768), 256);
  assert.equal(served(16, 32, 8192), 29);
  assert.equal(served(128, 32, 8192), 4);
});

Deno.test("servedKvSplits() evens out unequal lengths, and treats lengths within 25 % as one", () => {
  const splits = (contextLens: number[]) => servedKvSplits({ contextLens, heads: 2048, smCount: 2, cap: 64 });
  assert.deepEqual(splits([1000, 100]), [10, 1]);
  assert.deepEqual(splits([1000, 799]), [2, 2]);
  assert.deepEqual(splits([1000, 800]), [1, 1]);
});

Deno.test("servedKvSplits() gives 0 for an empty request, which does not count as the shortest", () => {
  const rest = { heads: 2048, smCount: 2, cap: 64 };
  assert.deepEqual(servedKvSplits({ contextLens: [1000, 0], ...rest }), [1, 0]);
  assert.deepEqual(servedKvSplits({ contextLens: [0, 0], ...rest }), [0, 0]);
  assert.deepEqual(servedKvSplits({ contextLens: [], ...rest }), []);
});

Deno.test("servedKvSplits() stays within 1 and the cap for every request that is not empty", () => {
  fc.assert(fc.property(
    lengths(300_000),
    fc.integer({ min: 1, max: 128 }),
    fc.integer({ min: 1, max: 200 }),
    fc.integer({ min: 1, max: 528 }),
    (contextLens, heads, smCount, cap) => {
      const splits = servedKvSplits({ contextLens, heads, smCount, cap });
      return contextLens.every((length, r) => length === 0 ? splits[r] === 0 : splits[r] >= 1 && splits[r] <= cap);
    },
  ));
});

Deno.test("numKvSplits() takes one length or many, and the served cap where none is given", () => {
  assert.deepEqual(numKvSplits({ contextLen: 32768, heads: 16, smCount: 132 }), [256]);
  assert.deepEqual(numKvSplits({ contextLen: 32768, heads: 16, smCount: 132, cap: 64 }), [64]);
  assert.deepEqual(numKvSplits({ contextLen: 8192, batch: 32, heads: 16, smCount: 132 }), Array(32).fill(29));
  assert.deepEqual(
    numKvSplits({ contextLens: [8192, 0, 100], heads: 16, smCount: 132 }),
    servedKvSplits({ contextLens: [8192, 0, 100], heads: 16, smCount: 132, cap: 256 }),
  );
  assert.throws(() => numKvSplits({ contextLens: [1, -1], heads: 16, smCount: 132 }), /contextLens\[1\] is -1/);
  assert.throws(() => numKvSplits({ contextLen: 1, heads: 0, smCount: 132 }), /heads is 0/);
});

Deno.test("splitLength() rounds up to the granule and covers the request", () => {
  assert.equal(splitLength(8192, 29), 288);
  assert.equal(splitLength(8192, 29, 1), 283);
  assert.equal(splitLength(0, 0), 0);
  assert.equal(splitLength(0, 3), 0);
  assert.throws(() => splitLength(5, 0), /splits is 0, expected an integer from 1/);
});

Deno.test("servedExtentFixed() equals servedExtent() for every length to 262144 on 20 SM counts", () => {
  for (const smCount of SM_COUNTS) {
    for (let maxLen = 1; maxLen <= 262144; maxLen++) {
      if (servedExtentFixed(smCount, maxLen) !== servedExtent(smCount, maxLen)) {
        assert.equal(servedExtentFixed(smCount, maxLen), servedExtent(smCount, maxLen), `${smCount} SMs, ${maxLen}`);
      }
    }
  }
});

Deno.test("mulWide() equals 64-bit multiplication", () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(fc.property(u32, u32, (a, b) => {
    const [hi, lo] = mulWide(a, b);
    return (BigInt(hi) << 32n) + BigInt(lo) === BigInt(a) * BigInt(b);
  }));
  assert.deepEqual(mulWide(0xffffffff, 0xffffffff), [0xfffffffe, 1]);
});

Deno.test("waveKvSplits() fills one wave of 132 slots with 128 equal splits", () => {
  const one = { contextLens: [32768], headBlocks: 1, slots: 132, granule: 32 };
  assert.deepEqual(waveKvSplits({ ...one, cap: 256 }), [128]);
  assert.deepEqual(waveKvSplits({ ...one, cap: 132 }), [128]);
  assert.deepEqual(waveKvSplits({ ...one, cap: 132, granule: 1 }), [132]);
  assert.deepEqual(waveKvSplits({ ...one, cap: 64 }), [64]);
  assert.deepEqual(waveKvSplits({ ...one, cap: 263, granule: 1 }), [132]);
});

Deno.test("waveKvSplits() gives a long request more splits than a short one, of the same chunk", () => {
  const schedule = { contextLens: [8192, 1024, 0, 33], headBlocks: 1, slots: 64, cap: 256, granule: 32 };
  const chunk = waveChunk(schedule);
  assert.deepEqual(waveKvSplits(schedule), schedule.contextLens.map((length) => Math.ceil(length / chunk)));
  assert.ok(waveKvSplits(schedule).reduce((sum, n) => sum + n) <= 256);
});

Deno.test("waveKvSplits() answers for empty batches", () => {
  const rest = { headBlocks: 1, slots: 132, cap: 256, granule: 32 };
  assert.deepEqual(waveKvSplits({ contextLens: [], ...rest }), []);
  assert.deepEqual(waveKvSplits({ contextLens: [0, 0], ...rest }), [0, 0]);
});

Deno.test("waveKvSplits() takes the smallest chunk whose items fit its waves, and never passes the cap", () => {
  fc.assert(fc.property(
    lengths(20_000),
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 300 }),
    fc.constantFrom(1, 16, 32, 64),
    (contextLens, headBlocks, slots, cap, granule) => {
      const schedule = { contextLens, headBlocks, slots, cap, granule };
      const splits = waveKvSplits(schedule);
      assert.ok(splits.every((n, r) => contextLens[r] === 0 ? n === 0 : n >= 1 && n <= cap));
      const max = Math.max(0, ...contextLens);
      if (max === 0) return;
      const items = (chunk: number) => headBlocks * contextLens.reduce((sum, n) => sum + Math.ceil(n / chunk), 0);
      const lowest = Math.ceil(Math.ceil(max / cap) / granule) * granule;
      const waves = Math.max(Math.floor(items(lowest) / slots), Math.ceil(items(max) / slots));
      let chunk = lowest;
      while (items(chunk) > waves * slots) chunk += granule;
      assert.equal(waveChunk(schedule), chunk);
    },
  ));
});
