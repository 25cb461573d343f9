import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_RESULTS_LENGTH, parseResults, stringifyResults } from "./mod.ts";
import schema from "./schema.json" with { type: "json" };
import { admits } from "./testing/json_schema.ts";
import { anyResults, sampleReplicate, sampleResults } from "./testing/samples.ts";

type Json = Record<string, unknown>;

/** The sample with the value at `path` replaced, or removed where `value` is absent. */
function changed(path: readonly string[], ...value: [] | [unknown]): Json {
  const root = structuredClone(sampleResults()) as unknown as Json;
  const parent = path.slice(0, -1).reduce((object, name) => object[name] as Json, root);
  const name = path.at(-1)!;
  if (value.length === 0) delete parent[name];
  else Object.defineProperty(parent, name, { value: value[0], enumerable: true, configurable: true, writable: true });
  return root;
}

const CONFIG = ["configs", "132", "1024"];
const EVIDENCE = ["evidence", "132", "1024"];

/** [what is wrong, the file, what the message says] where the schema refuses it too. */
const WRONG_VALUES: [string, unknown, RegExp][] = [
  ["no object", [], /the file is \[\], expected an object/],
  ["null", null, /the file is null, expected an object/],
  ["another version", changed(["schemaVersion"], 2), /schemaVersion is 2, expected 1$/],
  ["no version", changed(["schemaVersion"]), /schemaVersion is missing/],
  ["an unknown field", changed(["config"], {}), /the file has the unknown field "config", expected \$schema, schema/],
  ["a kernel that is a path", changed(["kernel"], "../x"), /kernel is "..\/x", expected a name matching/],
  ["an empty device name", changed(["device", "name"], " "), /device.name is " ", expected a name/],
  [
    "an escape sequence in a name",
    changed(["device", "name"], "\u001b]0;x\u0007"),
    /device.name is "\\u001b]0;x\\u0007", expected text without control characters/,
  ],
  ["a line end in a parameter", changed([...CONFIG, "note"], "a\nb"), /note is "a\\nb", expected text without control/],
  ["a line end in a warning", changed([...EVIDENCE, "warnings"], ["a\nb"]), /warnings\[0\] is "a\\nb", expected text/],
  ["a fraction of an SM", changed(["device", "smCount"], 1.5), /device.smCount is 1.5, expected an integer from 1/],
  ["an unknown device field", changed(["device", "sms"], 1), /device has the unknown field "sms", expected name, arch/],
  ["a nested problem", changed(["problem", "heads"], [16]), /problem.heads is \[16\], expected a number, text or bool/],
  [
    "a text for a number",
    changed([...CONFIG, "BLOCK_N"], "64"),
    /configs\["132"\]\["1024"\].BLOCK_N is "64", expected /,
  ],
  ["zero stages", changed([...CONFIG, "num_stages"], 0), /num_stages is 0, expected an integer from 1 to 64/],
  ["too many splits", changed([...CONFIG, "max_kv_splits"], 65537), /max_kv_splits is 65537, expected an integer/],
  ["a null parameter", changed([...CONFIG, "pdl"], null), /\["1024"\].pdl is null/],
  ["a name with a space", changed([...CONFIG, "a b"], 1), /\["1024"\] has the field "a b", expected a name of letters/],
  ["a long text", changed([...CONFIG, "note"], "x".repeat(300)), /note is "xxx.*…, expected text of at most 256/],
  ["an SM count in hex", changed(["configs", "0x84"], {}), /configs has the field "0x84", expected SM counts/],
  ["SM count 0", changed(["configs", "0"], {}), /configs has the field "0", expected SM counts/],
  ["a fractional SM count", changed(["configs", "1.5"], {}), /configs has the field "1.5"/],
  [
    "a context with a leading 0",
    changed(["configs", "132", "01"], {}),
    /\["132"\] has the field "01", expected context/,
  ],
  ["a context of 1e3", changed(["configs", "132", "1e3"], {}), /\["132"\] has the field "1e3", expected context/],
  ["no time", changed([...EVIDENCE, "us"]), /evidence\["132"\]\["1024"\].us is missing, expected us, interval/],
  ["time 0", changed([...EVIDENCE, "us"], 0), /us is 0, expected a number above 0/],
  ["a negative interval", changed([...EVIDENCE, "interval"], [-1, 2]), /interval\[0\] is -1, expected a number from 0/],
  [
    "an interval of three",
    changed([...EVIDENCE, "interval"], [1, 2, 3]),
    /interval is \[1,2,3\], expected \[low, high\]/,
  ],
  ["no samples", changed([...EVIDENCE, "samples"], 0), /samples is 0, expected an integer from 1/],
  ["another clock", changed([...EVIDENCE, "clock"], "wall"), /clock is "wall", expected "device" or "cpu"/],
  ["another choice", changed([...EVIDENCE, "chosen"], true), /chosen is true, expected "tuned" or "baseline"/],
  ["a number for a boolean", changed([...EVIDENCE, "coldCache"], 1), /coldCache is 1, expected true or false/],
  ["a local date", changed([...EVIDENCE, "date"], "2026-11-22"), /date is "2026-11-22", expected an ISO 8601 time/],
  ["a wrong baseline", changed([...EVIDENCE, "baselineConfig"], { BLOCK_N: 1.5 }), /baselineConfig.BLOCK_N is 1.5/],
  [
    "one replicate",
    changed([...EVIDENCE, "replicates"], [sampleReplicate()]),
    /replicates.length is 1, expected 2 to 64 replicates/,
  ],
  ["no replicates", changed([...EVIDENCE, "replicates"], {}), /replicates is \{\}, expected 2 to 64 replicates/],
  [
    "a replicate without a time",
    changed([...EVIDENCE, "replicates"], [sampleReplicate(), sampleReplicate({ us: 0 })]),
    /replicates\[1\].us is 0, expected a number above 0/,
  ],
  [
    "a replicate's unknown field",
    changed([...EVIDENCE, "replicates"], [sampleReplicate(), { ...sampleReplicate(), gbps: 1 }]),
    /replicates\[1\] has the unknown field "gbps", expected us, interval/,
  ],
  ["NaN", changed([...EVIDENCE, "gbps"], NaN), /gbps is NaN, expected a number from 0 up/],
  ["Infinity", changed([...CONFIG, "alpha"], Infinity), /alpha is Infinity, expected a finite number/],
  [
    "65 parameters",
    changed(CONFIG, Object.fromEntries([..."x".repeat(65)].map((x, i) => [x + i, 1]))),
    /has 65 fields/,
  ],
  ...["__proto__", "constructor", "prototype", "toString"].flatMap((name): [string, unknown, RegExp][] => [
    [`${name} in a config`, changed([...CONFIG, name], 1), new RegExp(`\\["1024"\\] has the field "${name}"`)],
    [`${name} in the problem`, changed(["problem", name], 1), new RegExp(`problem has the field "${name}"`)],
    [`${name} as an SM count`, changed(["configs", name], {}), new RegExp(`configs has the field "${name}"`)],
    [`${name} at the top`, changed([name], {}), new RegExp(`the file has the unknown field "${name}"`)],
  ]),
];

/** What only the parser can refuse: it relates values to each other. */
const WRONG_RELATIONS: [string, unknown, RegExp][] = [
  [
    "a config without evidence",
    changed(EVIDENCE),
    /evidence\["132"\]\["1024"\] is missing, expected one for each of c/,
  ],
  ["an SM count without evidence", changed(["evidence", "132"]), /evidence\["132"\]\["1024"\] is missing/],
  ["evidence without a config", changed(CONFIG), /configs\["132"\]\["1024"\] is missing, expected one for each of evi/],
  [
    "an interval upside down",
    changed([...EVIDENCE, "interval"], [3, 2]),
    /interval is \[3,2\], expected \[low, high\]/,
  ],
  [
    "a tile that the kernel never has",
    changed([...CONFIG, "BLOCK_N"], 33),
    /configs\["132"\]\["1024"\].BLOCK_N is 33, expected a multiple of 8 from 8 to 1024, as BLOCK_N of mla_decode on cuda/,
  ],
  [
    "a text for a boolean parameter",
    changed([...EVIDENCE, "baselineConfig"], { pdl: "yes" }),
    /evidence\["132"\]\["1024"\].baselineConfig.pdl is "yes", expected true or false/,
  ],
  [
    "a parameter of another backend",
    changed([...CONFIG, "qk_tile"], "4x4"),
    /\["1024"\] has the unknown parameter "qk_tile", expected those of mla_decode on cuda: BLOCK_N, num_stages/,
  ],
  [
    "a replicate's interval upside down",
    changed([...EVIDENCE, "replicates"], [sampleReplicate({ speedupInterval: [2, 1] }), sampleReplicate()]),
    /replicates\[0\].speedupInterval is \[2,1\], expected \[low, high\]/,
  ],
  ["a 13th month", changed([...EVIDENCE, "date"], "2026-13-22T00:00:00Z"), /expected an ISO 8601 time that exists/],
];

Deno.test("parseResults() needs no $schema, and neither does schema.json", () => {
  const bare = changed(["$schema"]);
  assert.deepEqual(parseResults(bare), bare);
  assert.ok(admits(schema, bare));
});

Deno.test("parseResults() gives back valid results, from a text and from an object", () => {
  const sample = sampleResults([[132, 1024], [66, 128]]);
  assert.deepEqual(parseResults(sample), sample);
  assert.deepEqual(parseResults(JSON.stringify(sample)), sample);
});

for (const [what, json, message] of [...WRONG_VALUES, ...WRONG_RELATIONS]) {
  Deno.test(`parseResults() refuses ${what}, naming path, value and what is accepted`, () => {
    assert.throws(() => parseResults(json), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot read results: .*expected .*[^.]$/);
      return error instanceof TypeError || error instanceof RangeError;
    });
  });
}

Deno.test("parseResults() refuses numbers that overflow to Infinity in a text", () => {
  const text = JSON.stringify(sampleResults()).replace('"gbps":2000', '"gbps":1e999');
  assert.throws(() => parseResults(text), /gbps is Infinity, expected a number from 0 up/);
});

Deno.test("parseResults() finds __proto__ in a text, where JSON.parse makes it a field", () => {
  const text = JSON.stringify(sampleResults()).replace('"BLOCK_N":64', '"BLOCK_N":64,"__proto__":{"polluted":true}');
  assert.throws(() => parseResults(text), /has the field "__proto__"/);
  assert.equal(({} as Json).polluted, undefined);
});

Deno.test("parseResults() answers text that is no JSON with a SyntaxError in one line", () => {
  assert.throws(() => parseResults('{\n"a": 1,\n}'), {
    name: "SyntaxError",
    message: /^Cannot read results: .* JSON doc/,
  });
  assert.throws(() => parseResults(""), SyntaxError);
  const error = (() => {
    try {
      parseResults('{\n"a": 1,\n}');
    } catch (error) {
      return error as Error;
    }
  })();
  assert.ok(!error!.message.includes("\n"));
});

Deno.test("parseResults() refuses an oversized text before it parses it", () => {
  assert.throws(() => parseResults("[".repeat(MAX_RESULTS_LENGTH + 1)), /has 8388609 characters, expected at most/);
});

Deno.test("parseResults() survives deep nesting", () => {
  assert.throws(() => parseResults("[".repeat(1e6)), Error);
  assert.throws(() => parseResults(`${'{"kernel":'.repeat(1e5)}1${"}".repeat(1e5)}`), TypeError);
});

Deno.test("schema.json admits what parseResults() does, and refuses the same wrong values", () => {
  assert.ok(admits(schema, sampleResults([[132, 1024], [66, 128]])));
  for (const [what, json] of WRONG_VALUES) assert.equal(admits(schema, json), false, what);
  fc.assert(fc.property(anyResults, (results) => admits(schema, results)));
});

Deno.test("parseResults() reads back stringifyResults() of any results", () => {
  fc.assert(fc.property(anyResults, (results) => {
    assert.deepEqual(parseResults(stringifyResults(results)), parseResults(results));
  }));
});

Deno.test("parseResults() accepts a mutated file only where the schema does, and throws only its own errors", () => {
  const junk = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom<unknown>(NaN, Infinity, -1, 0, 1.5, "", "64", "__proto__", null, true, undefined, [], {}, 2 ** 53),
  );
  const names = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "132", "1024", "0", "us", "BLOCK_N"));
  fc.assert(
    fc.property(anyResults, fc.nat(), names, junk, fc.boolean(), (results, pick, name, value, rename) => {
      const json = structuredClone(results) as unknown as Json;
      const objects = everyObject(json);
      const target = objects[pick % objects.length];
      const keys = Object.keys(target);
      const key = rename || keys.length === 0 ? name : keys[pick % keys.length];
      Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
      let parsed: unknown;
      try {
        parsed = parseResults(json);
      } catch (error) {
        assert.match((error as Error).message, /^Cannot read results: /);
        return;
      }
      assert.ok(admits(schema, json), "the parser accepted what the schema refuses");
      assert.deepEqual(parsed, json);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("parseResults() throws only its own errors for a text with any byte changed", () => {
  const text = stringifyResults(sampleResults([[132, 1024], [66, 128]]));
  fc.assert(
    fc.property(fc.nat({ max: text.length - 1 }), fc.integer({ min: 1, max: 126 }), (at, code) => {
      try {
        parseResults(text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1));
      } catch (error) {
        assert.match((error as Error).message, /^Cannot read results: /);
      }
    }),
    { numRuns: 3000 },
  );
});

function everyObject(value: unknown): Json[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(everyObject);
  return Array.isArray(value) ? inner : [value as Json, ...inner];
}
