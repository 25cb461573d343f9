import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256 } from "../kernels/sha256.ts";
import { parseIndex, resultsPath, stringifyResults, writeIndexes, writeResults } from "./mod.ts";
import { sampleEvidence, sampleResults } from "./testing/samples.ts";

const PATH = resultsPath(sampleResults());

async function inFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  await test(dir);
  await Deno.remove(dir, { recursive: true });
}

const readIndex = async (...path: string[]) => parseIndex(await Deno.readTextFile(join(...path, "index.json")));

Deno.test("the committed indexes are up to date: run deno run tune index where this fails", async () => {
  const { index, outdated } = await writeIndexes(fileURLToPath(new URL(".", import.meta.url)), { dryRun: true });
  assert.deepEqual(outdated, []);
  assert.ok(Object.keys(index.files).length > 0);
});

Deno.test("writeIndexes() writes hash, size and summary of each file, at the root and in its folder", () =>
  inFolder(async (dir) => {
    const { path } = await writeResults(dir, sampleResults([[132, 1024], [66, 1024]]));
    const { outdated } = await writeIndexes(dir);
    assert.deepEqual(outdated.toSorted(), ["index.json", "mla_decode/cuda/nvidia-h200/index.json"]);
    const entry = (await readIndex(dir)).files[PATH];
    assert.equal(entry.sha256, await sha256(await Deno.readFile(path)));
    assert.equal(entry.bytes, (await Deno.stat(path)).size);
    const { kernel, device, problem, entries, tuned, bestSpeedup, newest } = entry;
    assert.deepEqual(
      { kernel, device, problem, entries, tuned, bestSpeedup, newest },
      {
        kernel: "mla_decode",
        device: "NVIDIA H200",
        problem: "heads16-batch1-fp8_e4m3",
        entries: 2,
        tuned: 2,
        bestSpeedup: 1.5,
        newest: "2026-11-22T10:00:00.000Z",
      },
    );
    const folder = await readIndex(dir, "mla_decode/cuda/nvidia-h200");
    assert.deepEqual(folder.files, { "heads16-batch1-fp8_e4m3.json": entry });
    assert.deepEqual((await writeIndexes(dir)).outdated, [], "a second time changes nothing");
  }));

Deno.test("writeResults() keeps the indexes of a registry up to date, and makes none elsewhere", () =>
  inFolder(async (dir) => {
    await writeResults(dir, sampleResults());
    await assert.rejects(Deno.stat(join(dir, "index.json")), Deno.errors.NotFound);
    await writeIndexes(dir);
    await writeResults(dir, sampleResults([[132, 4096]]));
    assert.deepEqual((await writeIndexes(dir, { dryRun: true })).outdated, []);
    assert.equal((await readIndex(dir)).files[PATH].entries, 2);
  }));

Deno.test("several writers into one registry at once leave every file indexed", () =>
  inFolder(async (dir) => {
    await writeResults(dir, sampleResults());
    await writeIndexes(dir);
    const devices = Array.from({ length: 8 }, (_, i) => ({ ...sampleResults().device, name: `GPU ${i}` }));
    await Promise.all(devices.map((device) => writeResults(dir, { ...sampleResults(), device })));
    assert.deepEqual((await writeIndexes(dir, { dryRun: true })).outdated, []);
  }));

Deno.test("writeIndexes() refuses a file that is none or lies in the wrong place, and changes nothing", () =>
  inFolder(async (dir) => {
    await writeResults(dir, sampleResults());
    const wrong = join(dir, "mla_decode/cuda/nvidia-h200/heads99-batch1-fp8_e4m3.json");
    await Deno.writeTextFile(wrong, stringifyResults(sampleResults()));
    await assert.rejects(
      writeIndexes(dir),
      /heads99.*: the file belongs at mla_decode\/cuda\/nvidia-h200\/heads16-batch1-fp8_e4m3.json/,
    );
    await Deno.writeTextFile(wrong, "{}");
    await assert.rejects(writeIndexes(dir), /Cannot index .*heads99.*: schemaVersion is missing/);
    await assert.rejects(Deno.stat(join(dir, "index.json")), Deno.errors.NotFound);
    await assert.rejects(writeIndexes(join(dir, "none")), /Cannot list .*none/);
  }));

const ENTRY = {
  sha256: "a".repeat(64),
  bytes: 1,
  kernel: "k",
  backend: "b",
  device: "d",
  problem: "p",
  entries: 0,
  tuned: 0,
};

Deno.test("parseIndex() refuses what could lead a reader astray", () => {
  const index = (path: string, entry: unknown = ENTRY) =>
    `{"schemaVersion":1,"files":{${JSON.stringify(path)}:${JSON.stringify(entry)}}}`;
  assert.equal(parseIndex(index("a/b/c/d.json")).files["a/b/c/d.json"].bytes, 1);
  for (
    const path of [
      "../x.json",
      "/etc/x.json",
      "a/../x.json",
      "a//x.json",
      "__proto__",
      "x.js",
      "a\\x.json",
      "http://x/y.json",
    ]
  ) {
    assert.throws(() => parseIndex(index(path)), /files has the field .*, expected paths of .json files/, path);
  }
  assert.throws(() => parseIndex(index("x.json", { ...ENTRY, sha256: "A".repeat(64) })), /sha256 is .*64 hex digits/);
  assert.throws(() => parseIndex(index("x.json", { ...ENTRY, more: 1 })), /unknown field "more"/);
  assert.throws(() => parseIndex('{"schemaVersion":2}'), /schemaVersion is 2, expected 1$/);
});

Deno.test("an index counts the sizes where the baseline was beaten", () =>
  inFolder(async (dir) => {
    await writeResults(
      dir,
      sampleResults([[132, 1024]], undefined, sampleEvidence({ chosen: "baseline", speedup: 1 })),
    );
    await writeResults(dir, sampleResults([[132, 4096]]));
    await writeIndexes(dir);
    const { entries, tuned } = (await readIndex(dir)).files[PATH];
    assert.deepEqual([entries, tuned], [2, 1]);
  }));
