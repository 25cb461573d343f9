import assert from "node:assert/strict";
import fc from "fast-check";
import { kvSplitsCap } from "../kernels/mla_decode/kv_splits.ts";
import { lookup, parseResults, type ResultsTable, type Size, sizesOf } from "./mod.ts";
import { anyResults, SAMPLE_CONFIG, sampleResults } from "./testing/samples.ts";

const TABLE = parseResults(sampleResults([[132, 1024], [132, 8192], [66, 1024]]));

const anySize = fc.record({
  smCount: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(8, 66, 132, Number.MAX_SAFE_INTEGER)),
  contextLen: fc.oneof(fc.nat({ max: 200_000 }), fc.constantFrom(128, 1024, 4096, 32768, Number.MAX_SAFE_INTEGER)),
});

Deno.test("lookup() answers exact for a measured size, with the table's own config", () => {
  assert.deepEqual(lookup(TABLE, { smCount: 66, contextLen: 1024 }), {
    match: "exact",
    config: SAMPLE_CONFIG,
    from: { smCount: 66, contextLen: 1024 },
    distance: 0,
    confidence: "high",
    filled: [],
  });
});

Deno.test("lookup() answers nearest for an SM count between two entries, by ratio and not by difference", () => {
  const from = (smCount: number, contextLen: number) => {
    const { match, from } = lookup(TABLE, { smCount, contextLen });
    assert.equal(match, "nearest");
    return from;
  };
  assert.deepEqual(from(93, 1024), { smCount: 66, contextLen: 1024 });
  assert.deepEqual(from(94, 1024), { smCount: 132, contextLen: 1024 });
  assert.deepEqual(from(132, 2890), { smCount: 132, contextLen: 1024 });
  assert.deepEqual(from(132, 2900), { smCount: 132, contextLen: 8192 });
  assert.deepEqual(from(66, 8192), { smCount: 132, contextLen: 8192 });
  assert.deepEqual(from(1, 0), { smCount: 66, contextLen: 1024 });
});

Deno.test("lookup() prefers fewer SMs and shorter lengths among sizes equally near", () => {
  const table = sampleResults([[64, 1024], [64, 4096], [256, 1024], [256, 4096]]);
  assert.deepEqual(lookup(table, { smCount: 128, contextLen: 2048 }).from, { smCount: 64, contextLen: 1024 });
});

const CAPS = {
  configs: {
    "66": { "1024": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 16 } },
    "132": {
      "1024": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 32 },
      "4096": { BLOCK_N: 64, num_stages: 3, max_kv_splits: 128 },
      "8192": { BLOCK_N: 32, num_stages: 3, max_kv_splits: 128 },
    },
  },
};

Deno.test("lookup() interpolates the cap between context lengths that agree on the rest, and says between which", () => {
  const { match, config, between, confidence } = lookup(CAPS, { smCount: 132, contextLen: 2048 });
  assert.equal(match, "nearest");
  assert.deepEqual(config, { BLOCK_N: 64, num_stages: 3, max_kv_splits: 64 });
  assert.deepEqual(between, [{ smCount: 132, contextLen: 1024 }, { smCount: 132, contextLen: 4096 }]);
  assert.equal(confidence, "high");
});

Deno.test("lookup() interpolates the cap between SM counts where the context length was measured on both", () => {
  const { config, between } = lookup(CAPS, { smCount: 93, contextLen: 1024 });
  assert.equal(config.max_kv_splits, 23); // 16 · 2 ^ log₂(93 / 66)
  assert.deepEqual(between, [{ smCount: 66, contextLen: 1024 }, { smCount: 132, contextLen: 1024 }]);
});

Deno.test("lookup() takes the nearest config whole where its neighbour differs in more than the cap, or there is none", () => {
  const { config, between, confidence } = lookup(CAPS, { smCount: 132, contextLen: 6000 });
  assert.deepEqual([config, between, confidence], [CAPS.configs["132"]["8192"], undefined, "medium"]);
  const beyond = lookup(CAPS, { smCount: 132, contextLen: 65536 });
  assert.deepEqual([beyond.config, beyond.distance, beyond.confidence], [CAPS.configs["132"]["8192"], 3, "low"]);
});

Deno.test("lookup() without an SM count anywhere goes by the context length alone", () => {
  const { from, between } = lookup(CAPS, { contextLen: 4096 });
  assert.deepEqual([from, between], [{ smCount: 132, contextLen: 4096 }, undefined]);
});

Deno.test("lookup() takes the SM count of the table's device where none is given", () => {
  assert.deepEqual(lookup(TABLE, { contextLen: 1024 }).from, { smCount: 132, contextLen: 1024 });
  assert.equal(lookup({ configs: TABLE.configs }, { contextLen: 8192 }).from?.smCount, 132);
});

Deno.test("lookup() answers with the served formula where the table is empty", () => {
  const empty = { kernel: "mla_decode", configs: {} };
  assert.deepEqual(lookup(empty, { smCount: 132, contextLen: 32768 }), {
    match: "formula",
    config: { BLOCK_N: 32, num_stages: 2, max_kv_splits: 256 },
    confidence: "low",
    filled: ["BLOCK_N", "num_stages", "max_kv_splits"],
  });
  assert.equal(lookup(empty, { contextLen: 32768 }).config.max_kv_splits, 8);
  assert.equal(lookup({ configs: { "132": {} } }, { smCount: 132, contextLen: 1 }).match, "formula");
  assert.deepEqual(lookup({ kernel: "mine", configs: {} }, { smCount: 132, contextLen: 1 }).config, {});
});

Deno.test("lookup() fills parameters that the table lacks from the formula, and says which", () => {
  const table = { configs: { "132": { "1024": { BLOCK_N: 64, pdl: true } } } };
  const { match, config, filled } = lookup(table, { smCount: 132, contextLen: 1024 });
  assert.equal(match, "exact");
  assert.deepEqual(config, { BLOCK_N: 64, pdl: true, num_stages: 2, max_kv_splits: kvSplitsCap(8, 132, 1024) });
  assert.deepEqual(filled, ["num_stages", "max_kv_splits"]);
});

Deno.test("lookup() names a size that is none", () => {
  assert.throws(() => lookup(TABLE, { smCount: 0, contextLen: 1 }), {
    message: /smCount 0: expected an integer from 1/,
  });
  assert.throws(() => lookup(TABLE, { smCount: 1, contextLen: NaN }), RangeError);
  assert.throws(() => lookup(TABLE, { smCount: 1, contextLen: 1.5 }), /contextLen 1.5: expected an integer from 0/);
});

Deno.test("lookup() passes over names in an unchecked table that are no sizes", () => {
  const table = JSON.parse(
    '{ "configs": { "__proto__": { "1": {} }, "x": {}, "132": { "y": {}, "64": { "BLOCK_N": 16 } } } }',
  );
  assert.deepEqual(lookup(table, { smCount: 1, contextLen: 1 }).from, { smCount: 132, contextLen: 64 });
});

Deno.test("lookup() is exact if and only if the size is there, and otherwise takes the least distance of all", () => {
  const distance = (a: Size, b: Size) =>
    Math.log2(a.smCount / b.smCount) ** 2 + Math.log2(a.contextLen / Math.max(b.contextLen, 1)) ** 2;
  fc.assert(fc.property(anyResults, anySize, (table: ResultsTable, query) => {
    const { match, from, between, config, filled } = lookup(table, query);
    const sizes = sizesOf(table.configs);
    const there = sizes.some((size) => size.smCount === query.smCount && size.contextLen === query.contextLen);
    assert.equal(match, there ? "exact" : sizes.length > 0 ? "nearest" : "formula");
    for (const name of ["BLOCK_N", "num_stages", "max_kv_splits"]) assert.equal(typeof config[name], "number");
    if (from === undefined) return assert.equal(match, "formula");
    const least = Math.min(...sizes.map((size) => distance(size, query)));
    assert.ok(Math.abs(distance(from, query) - least) < 1e-9);
    const measured = table.configs[from.smCount][from.contextLen];
    if (between === undefined) assert.deepEqual(config, { ...config, ...measured });
    else {
      const caps = between.map((size) => table.configs[size.smCount][size.contextLen].max_kv_splits as number);
      const cap = config.max_kv_splits as number;
      assert.ok(Math.min(...caps) <= cap && cap <= Math.max(...caps), `${cap} between ${caps}`);
      assert.deepEqual({ ...config, max_kv_splits: 0 }, { ...config, ...measured, max_kv_splits: 0 });
    }
    assert.deepEqual(filled.filter((name) => Object.hasOwn(measured, name)), []);
  }));
});
