import assert from "node:assert/strict";
import fc from "fast-check";
import { type Config, type Evidence, mergeResults, type Results, sizesOf } from "./mod.ts";
import { anyResults, SAMPLE_CONFIG, sampleEvidence, sampleReplicate, sampleResults } from "./testing/samples.ts";

const OTHER_CONFIG: Config = { ...SAMPLE_CONFIG, BLOCK_N: 32 };

/** What becomes of one fresh entry where the sample is already there. */
function outcome(config: Config, changes: Partial<Evidence>): string {
  const { merged, added, replaced, kept } = mergeResults(
    sampleResults(),
    sampleResults([[132, 1024]], config, sampleEvidence({ kvtune: "fresh", ...changes })),
  );
  assert.equal(added.length, 0);
  const isFresh = merged.evidence["132"]["1024"].kvtune === "fresh";
  assert.equal(merged.configs["132"]["1024"], isFresh ? config : SAMPLE_CONFIG);
  assert.equal(replaced.length, isFresh ? 1 : 0);
  return [...replaced, ...kept].map(({ why }) => `${isFresh ? "replaced" : "kept"}: ${why}`).join();
}

Deno.test("mergeResults() takes all of the fresh results where nothing was there", () => {
  const fresh = sampleResults([[132, 1024], [66, 128]]);
  const { merged, added, replaced, kept } = mergeResults(undefined, fresh);
  assert.deepEqual(merged, fresh);
  assert.deepEqual(added.map(({ smCount, contextLen }) => [smCount, contextLen]), [[66, 128], [132, 1024]]);
  assert.deepEqual([replaced, kept], [[], []]);
});

Deno.test("mergeResults() joins new sizes to old ones and leaves its arguments alone", () => {
  const old = sampleResults([[132, 1024]]);
  const { merged, added } = mergeResults(old, sampleResults([[132, 4096], [66, 1024]]));
  assert.deepEqual(sizesOf(merged.configs), [
    { smCount: 66, contextLen: 1024 },
    { smCount: 132, contextLen: 1024 },
    { smCount: 132, contextLen: 4096 },
  ]);
  assert.equal(added.length, 2);
  assert.deepEqual(old, sampleResults([[132, 1024]]));
});

Deno.test("mergeResults() replaces an entry of another source hash, driver or toolchain, even a faster one", () => {
  const slow = { us: 100, interval: [90, 110] } as const;
  assert.equal(outcome(OTHER_CONFIG, { ...slow, sourceHash: "x" }), "replaced: stale: other sourceHash");
  assert.equal(outcome(OTHER_CONFIG, { ...slow, driver: "x" }), "replaced: stale: other driver");
  assert.equal(outcome(OTHER_CONFIG, { ...slow, toolchain: "x" }), "replaced: stale: other toolchain");
});

Deno.test("mergeResults() prefers the same config with more replicates, however narrow the other's interval", () => {
  const replicates = [sampleReplicate(), sampleReplicate()];
  const wide = { interval: [10, 40], replicates } as const;
  assert.equal(outcome(SAMPLE_CONFIG, wide), "replaced: same config, more replicates");
  const fresh = sampleResults();
  const old = sampleResults([[132, 1024]], SAMPLE_CONFIG, sampleEvidence(wide));
  const { merged, kept } = mergeResults(old, fresh);
  assert.deepEqual(merged.evidence, old.evidence);
  assert.equal(kept[0].why, "same config, fewer replicates");
});

Deno.test("mergeResults() replaces the same config by a relatively narrower interval only", () => {
  assert.match(outcome(SAMPLE_CONFIG, { us: 40, interval: [39, 41] }), /^replaced: same config, narrower/);
  assert.match(outcome(SAMPLE_CONFIG, { us: 40, interval: [38, 42] }), /^kept: same config/);
  assert.match(outcome(SAMPLE_CONFIG, { us: 10, interval: [9.1, 10.9] }), /^kept: same config/);
});

Deno.test("mergeResults() replaces another config only by an interval wholly below", () => {
  assert.equal(outcome(OTHER_CONFIG, { us: 18, interval: [17.9, 18.9] }), "replaced: faster beyond doubt");
  assert.equal(outcome(OTHER_CONFIG, { us: 18, interval: [17, 19] }), "kept: not faster beyond doubt");
  assert.equal(outcome(OTHER_CONFIG, { us: 25, interval: [25, 25] }), "kept: not faster beyond doubt");
});

Deno.test("mergeResults() keeps the earlier entry where times were not measured alike", () => {
  const fast = { us: 1, interval: [1, 1] } as const;
  assert.equal(outcome(OTHER_CONFIG, { ...fast, coldCache: false }), "kept: not comparable: other coldCache");
  assert.equal(outcome(SAMPLE_CONFIG, { ...fast, clock: "cpu" }), "kept: not comparable: other clock");
  assert.equal(outcome(OTHER_CONFIG, { ...fast, partition: true }), "kept: not comparable: other partition");
});

Deno.test("mergeResults() replaces an entry that the caller knows to be outdated, even a faster one, and no other", () => {
  const old = sampleResults([[132, 1024], [132, 4096]]);
  const slower = sampleResults(
    [[132, 1024], [132, 4096]],
    OTHER_CONFIG,
    sampleEvidence({ us: 30, interval: [29, 31] }),
  );
  const { merged, replaced, kept } = mergeResults(old, slower, { outdated: [{ smCount: 132, contextLen: 4096 }] });
  assert.deepEqual(replaced, [{ smCount: 132, contextLen: 4096, why: "outdated" }]);
  assert.deepEqual(kept.map(({ contextLen }) => contextLen), [1024]);
  assert.deepEqual(merged.configs["132"], { "1024": SAMPLE_CONFIG, "4096": OTHER_CONFIG });
});

Deno.test("mergeResults() does not take a config's field order for a difference", () => {
  const reordered = Object.fromEntries(Object.entries(SAMPLE_CONFIG).reverse());
  const { kept } = mergeResults(sampleResults(), sampleResults([[132, 1024]], reordered));
  assert.match(kept[0].why, /^same config/);
});

Deno.test("mergeResults() keeps the largest SM count of the device", () => {
  const with8: Results = { ...sampleResults(), device: { ...sampleResults().device, smCount: 8 } };
  assert.equal(mergeResults(sampleResults(), with8).merged.device.smCount, 132);
  assert.equal(mergeResults(with8, sampleResults()).merged.device.smCount, 132);
});

Deno.test("mergeResults() refuses results about something else, naming the field and both values", () => {
  const old = sampleResults();
  const cases: [Partial<Results>, RegExp][] = [
    [{ kernel: "mla_extend" }, /kernel is "mla_decode" in the earlier ones and "mla_extend" in the fresh ones/],
    [{ device: { ...old.device, name: "NVIDIA L40S" } }, /device.name is "NVIDIA H200" .* "NVIDIA L40S"/],
    [{ problem: { ...old.problem, heads: 128 } }, /problem.heads is 16 .* 128/],
    [{ problem: { ...old.problem, sinks: true } }, /problem.sinks is undefined .* true/],
  ];
  for (const [changes, message] of cases) {
    assert.throws(() => mergeResults(old, { ...old, ...changes }), { name: "TypeError", message });
  }
});

Deno.test("mergeResults() is idempotent, loses no size, and puts every fresh entry into one list", () => {
  fc.assert(fc.property(anyResults, anyResults, (old, fresh) => {
    const { merged, added, replaced, kept } = mergeResults(old, fresh);
    assert.equal(added.length + replaced.length + kept.length, sizesOf(fresh.configs).length);
    const sizes = new Set([...sizesOf(old.configs), ...sizesOf(fresh.configs)].map((size) => JSON.stringify(size)));
    assert.deepEqual(new Set(sizesOf(merged.configs).map((size) => JSON.stringify(size))), sizes);
    const again = mergeResults(merged, fresh);
    assert.deepEqual(again.added, []);
    // Evidence that was kept in spite of a fresh entry can only go stale through another source hash or toolchain,
    // and those were replaced in the first round.
    assert.deepEqual(again.replaced, []);
    assert.deepEqual(again.merged, merged);
  }));
});

Deno.test("mergeResults() never lets a slower config replace a comparable one", () => {
  fc.assert(fc.property(anyResults, anyResults, (old, fresh) => {
    for (const { smCount, contextLen, why } of mergeResults(old, fresh).replaced) {
      const [before, after] = [old.evidence[smCount][contextLen], fresh.evidence[smCount][contextLen]];
      if (why === "faster beyond doubt") assert.ok(after.interval[1] < before.interval[0]);
      else assert.match(why, /^stale|^same config, narrower/);
    }
  }));
});
