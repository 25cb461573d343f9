import { deepStrictEqual, strictEqual, throws } from "node:assert";
import { gzipSync } from "node:zlib";
import { configs } from "../../kernels/space.ts";
import { UsageError } from "../errors.ts";
import { Journal, taskKey } from "../journal.ts";
import { inFolder } from "../testing/command.ts";
import { CANDIDATES, IDENTITY } from "../testing/journal_rows.ts";
import { t4Text } from "./formats/t4.ts";
import { tableText } from "./formats/table.ts";
import { readRecordings } from "./read.ts";
import type { Recording } from "./recording.ts";

const TABLE = {
  name: "made up",
  params: { block: [16, 32], layout: ["row", "column"] },
  restrictions: ["block > 8"],
  columns: ["block", "layout", "time_ms"],
  rows: [[16, "row", 2], [32, "row", 1.5], [32, "column", null]],
};

const CACHE = {
  schema_version: "1.0.0",
  device_name: "Testing",
  kernel_name: "convolution",
  problem_size: [4096, 4096],
  tune_params_keys: ["block"],
  tune_params: { block: [16, 32, 64] },
  objective: "time",
  cache: {
    "16": { block: 16, time: 3.9, times: [3.9] },
    "32": { block: 32, time: "CompilationFailedConfig" },
    "64": { block: 64, time: 1e20 },
  },
};

/** Writes a file and reads it as the one recording that it is. */
function read(folder: string, content: string | Uint8Array): Recording {
  const path = `${folder}/space.json.gz`;
  Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  const recordings = readRecordings(path);
  strictEqual(recordings.length, 1);
  return recordings[0];
}

const entriesOf = ({ entries }: Recording) => entries.map(({ config, cost }) => [...Object.values(config), cost]);

Deno.test(
  "readRecordings() reads a table, compressed or not, and its space admits the rows alone",
  inFolder((folder) => {
    for (const content of [JSON.stringify(TABLE), gzipSync(JSON.stringify(TABLE))]) {
      const recording = read(folder, content);
      strictEqual(recording.name, "made up");
      strictEqual(recording.optimum, 1.5);
      deepStrictEqual(entriesOf(recording), [[16, "row", 2], [32, "row", 1.5], [32, "column", undefined]]);
      deepStrictEqual([...configs(recording.space)], recording.entries.map(({ config }) => config));
      strictEqual(recording.costOf({ layout: "row", block: 32 }), 1.5);
    }
  }),
);

Deno.test(
  "readRecordings() reads back the table that it writes",
  inFolder((folder) => {
    const recording = read(folder, JSON.stringify({ ...TABLE, device: "a device", cheap: ["layout"] }));
    deepStrictEqual(recording.params.map(({ recompiles }) => recompiles), [true, false]);
    const again = read(folder, tableText(recording));
    deepStrictEqual({ ...again, space: 0, costOf: 0 }, { ...recording, space: 0, costOf: 0 });
  }),
);

Deno.test(
  "readRecordings() reads Kernel Tuner's cache, also one whose tuning was not ended; failures have no cost",
  inFolder((folder) => {
    const whole = JSON.stringify(CACHE);
    for (const content of [whole, whole.slice(0, -2) + ",\n"]) {
      const recording = read(folder, content);
      strictEqual(recording.name, "convolution Testing");
      deepStrictEqual(entriesOf(recording), [[16, 3.9], [32, undefined], [64, undefined]]);
    }
  }),
);

Deno.test(
  "readRecordings() reads T4; configs that broke a constraint are none of the space",
  inFolder((folder) => {
    const result = (block: number, invalidity: string, value?: number) => ({
      configuration: { block },
      times: {},
      invalidity,
      correctness: 1,
      measurements: value === undefined ? [] : [{ name: "time", value, unit: "ms" }],
      objectives: ["time"],
    });
    const results = [result(64, "correct", 2), result(16, "compile"), result(32, "constraints")];
    const recording = read(folder, JSON.stringify({ schema_version: "1.0.0", results }));
    deepStrictEqual(entriesOf(recording), [[64, 2], [16, undefined]]);
    deepStrictEqual(recording.space.params[0].values, [16, 64]);
  }),
);

Deno.test(
  "readRecordings() reads a journal: a recording for each task, its cheap parameters marked",
  inFolder(async (folder) => {
    const path = `${folder}/journal.db`;
    const key = await taskKey(IDENTITY);
    {
      using journal = Journal.open(path);
      for (const row of CANDIDATES) journal.addCandidate(key, IDENTITY, row);
    }
    const [recording, ...more] = readRecordings(path);
    strictEqual(more.length, 0);
    strictEqual(recording.name, "mla_decode webgpu Simulated device 4 SMs heads16-batch1-fp8_e4m3 256");
    deepStrictEqual(recording.entries.map(({ cost }) => cost).sort(), [0.8, 1.25, undefined]);
    deepStrictEqual(
      recording.params.filter(({ recompiles }) => !recompiles).map(({ name }) => name),
      ["schedule", "max_kv_splits"],
    );
    const t4 = read(folder, t4Text(CANDIDATES));
    deepStrictEqual(t4.entries.map(({ cost }) => cost).sort(), [0.08, 0.125, undefined]);
  }),
);

Deno.test(
  "readRecordings() says in one line what a file is not",
  inFolder((folder) => {
    const bad: [content: string, why: RegExp][] = [
      ["", /Unexpected end of JSON input, expected a journal of kvtune, a table/],
      ["[1]", /expected object, received array/],
      [JSON.stringify({ ...TABLE, rows: [[16, "row"]] }), /row 0 is \[16,"row"\], expected 3 values/],
      [JSON.stringify({ ...TABLE, columns: ["tile", "layout", "time_ms"] }), /column "tile" is no parameter/],
      [JSON.stringify({ ...TABLE, rows: [[16, "row", null]] }), /none of its 1 configs ran/],
      [JSON.stringify({ ...CACHE, cache: { "16": { time: 1 } } }), /record "16" has no value for "block"/],
    ];
    for (const [content, why] of bad) {
      throws(() => read(folder, content), (error) => {
        if (!(error instanceof UsageError)) throw error;
        strictEqual(error.message.includes("\n"), false);
        return why.test(error.message);
      });
    }
    throws(() => readRecordings(`${folder}/absent.json`), /Cannot read recording ".*absent.json": /);
  }),
);
