/**
 * 100,000 mutated results files: every one is refused with an error of ours, or is a results file by the schema whose
 * configs the kernel can have, and no lookup in it throws.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { inDomain } from "../kernels/param_domain.ts";
import { paramDomains } from "../kernels/params.ts";
import { lookup, parseResults, type Results, sizesOf, stringifyResults } from "./mod.ts";
import schema from "./schema.json" with { type: "json" };
import { admits } from "./testing/json_schema.ts";
import { anyResults, sampleResults } from "./testing/samples.ts";

type Json = Record<string, unknown>;

/** What was accepted must be what anyone may rely on, told by other code than the reader's. */
function requireSound(results: Results, json: unknown): void {
  assert.ok(admits(schema, json), "accepted what the schema refuses");
  const domains = paramDomains(results.kernel, results.backend);
  for (const { smCount, contextLen } of sizesOf(results.configs)) {
    const configs = [results.configs[smCount][contextLen], results.evidence[smCount][contextLen].baselineConfig];
    for (const [name, value] of configs.flatMap((config) => Object.entries(config))) {
      assert.ok(domains === undefined || inDomain(domains[name], value), `accepted ${name} ${value}`);
    }
  }
  const { config, match } = lookup(results, { smCount: 100, contextLen: 3000 });
  assert.equal(match === "formula", sizesOf(results.configs).length === 0);
  assert.ok(results.kernel !== "mla_decode" || Number.isInteger(config.max_kv_splits));
  assert.equal(({} as Json).polluted, undefined);
}

/** Whether it was accepted. */
function survives(input: unknown): boolean {
  let results: Results;
  try {
    results = parseResults(input);
  } catch (error) {
    assert.match((error as Error).message, /^Cannot read results: [^\n]*[^.]$/);
    assert.ok((error as Error).message.length < 1000, "an error in one line");
    return false;
  }
  requireSound(results, typeof input === "string" ? JSON.parse(input) : input);
  return true;
}

function everyObject(value: unknown): Json[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(everyObject);
  return Array.isArray(value) ? inner : [value as Json, ...inner];
}

const junk = fc.oneof(
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom<unknown>(
      ...[NaN, Infinity, -1, 0, -0, 1.5, 1, 7, 64, 2 ** 53, 1e308, 65_537, "", "64", "4x8", "few_heads", "__proto__"],
      ...[null, true, false, undefined, [], {}, [1, 2], "x".repeat(5000), "2026-02-30T00:00:00Z", "../../etc/passwd"],
    ),
  },
);
const names = fc.oneof(
  { weight: 1, arbitrary: fc.string() },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...[
        "__proto__",
        "constructor",
        "toString",
        "prototype",
        "132",
        "1024",
        "0",
        "-1",
        "1e3",
        "us",
        "BLOCK_N",
        "path",
      ],
      ...["qk_tile", "kernel", "backend", "schemaVersion", "configs", "evidence", "pdl", "polluted"],
    ),
  },
);
const mutation = fc.record({ at: fc.nat(), name: names, value: junk, act: fc.constantFrom("set", "add", "drop") });

Deno.test("parseResults() survives 50,000 files with fields set, added and dropped, and accepts none that is wrong", () => {
  // Drawn once: making files afresh would take longer than all the rest.
  const files = fc.sample(anyResults, 200);
  let accepted = 0;
  fc.assert(
    fc.property(fc.constantFrom(...files), fc.array(mutation, { minLength: 1, maxLength: 3 }), (results, mutations) => {
      const json = structuredClone(results) as unknown as Json;
      for (const { at, name, value, act } of mutations) {
        const objects = everyObject(json);
        const target = objects[at % objects.length];
        const keys = Object.keys(target);
        const key = act === "add" || keys.length === 0 ? name : keys[at % keys.length];
        if (act === "drop") delete target[key];
        else {Object.defineProperty(target, key, {
            value: structuredClone(value),
            enumerable: true,
            configurable: true,
            writable: true,
          });}
      }
      if (survives(json)) accepted++;
    }),
    { numRuns: 50_000 },
  );
  assert.ok(accepted > 500, `only ${accepted} were accepted: the mutations have stopped being subtle`);
});

Deno.test("parseResults() survives 50,000 files with bytes flipped, cut out and doubled, and accepts none that is wrong", () => {
  const whole = new TextEncoder().encode(stringifyResults(sampleResults([[132, 1024], [66, 128]])));
  const decoder = new TextDecoder();
  let accepted = 0;
  const edit = fc.record({
    at: fc.nat({ max: whole.length - 1 }),
    bit: fc.nat({ max: 7 }),
    length: fc.integer({ min: 1, max: 30 }),
    act: fc.constantFrom("flip", "flip", "cut", "double", "end"),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      let bytes = whole.slice();
      for (const { at, bit, length, act } of edits) {
        const [before, run, after] = [
          bytes.subarray(0, at),
          bytes.subarray(at, at + length),
          bytes.subarray(at + length),
        ];
        if (act === "flip" && at < bytes.length) bytes[at] ^= 1 << bit;
        else if (act === "cut") bytes = Uint8Array.from([...before, ...after]);
        else if (act === "double") bytes = Uint8Array.from([...before, ...run, ...run, ...after]);
        else if (act === "end") bytes = bytes.slice(0, at);
      }
      if (survives(decoder.decode(bytes))) accepted++;
    }),
    { numRuns: 50_000 },
  );
  assert.ok(accepted > 500, `only ${accepted} were accepted: the mutations have stopped being subtle`);
});
