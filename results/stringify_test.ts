import assert from "node:assert/strict";
import fc from "fast-check";
import { mergeResults, parseResults, type Results, stringifyResults } from "./mod.ts";
import { anyResults, sampleResults } from "./testing/samples.ts";

Deno.test("stringifyResults() writes one line an entry, sizes ascending by number", () => {
  const lines = stringifyResults(sampleResults([[132, 16384], [132, 1024], [66, 2048]])).split("\n");
  const configs = lines.slice(lines.indexOf('  "configs": {'), lines.indexOf('  "evidence": {'));
  assert.deepEqual(configs, [
    '  "configs": {',
    '    "66": {',
    '      "2048": { "BLOCK_N": 64, "num_stages": 3, "max_kv_splits": 33, "pdl": true }',
    "    },",
    '    "132": {',
    '      "1024": { "BLOCK_N": 64, "num_stages": 3, "max_kv_splits": 33, "pdl": true },',
    '      "16384": { "BLOCK_N": 64, "num_stages": 3, "max_kv_splits": 33, "pdl": true }',
    "    }",
    "  },",
  ]);
});

Deno.test("stringifyResults() changes one line of configs and one of evidence for one new entry", () => {
  const old = sampleResults([[132, 1024], [132, 8192]]);
  const before = new Set(stringifyResults(old).split("\n"));
  const { merged } = mergeResults(old, sampleResults([[132, 4096]]));
  const changed = stringifyResults(merged).split("\n").filter((line) => !before.has(line));
  assert.equal(changed.length, 2);
});

Deno.test("stringifyResults() gives the same text whatever the order of sizes and parameters", () => {
  const reversed = (value: unknown): unknown =>
    typeof value !== "object" || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(Object.entries(value).reverse().map(([name, inner]) => [name, reversed(inner)]));
  fc.assert(fc.property(anyResults, (results) => {
    const { configs, evidence } = results;
    const shuffled = { ...results, configs: reversed(configs), evidence: reversed(evidence) };
    assert.equal(stringifyResults(parseResults(shuffled)), stringifyResults(results));
  }));
});

Deno.test("stringifyResults() gives the text that it gave, after reading it", () => {
  fc.assert(fc.property(anyResults, (results: Results) => {
    const text = stringifyResults(results);
    assert.equal(stringifyResults(parseResults(text)), text);
    assert.ok(text.endsWith("}\n"));
  }));
});
