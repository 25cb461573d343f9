import assert from "node:assert/strict";
import { join } from "node:path";
import { parseResults, type Results, writeResults } from "./mod.ts";
import { sampleEvidence, sampleResults } from "./testing/samples.ts";

const FILE = "mla_decode/cuda/nvidia-h200/heads16-batch1-fp8_e4m3.json";

async function withFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}

Deno.test("writeResults() makes the file at its computed path, and leaves nothing else there", async () => {
  await withFolder(async (dir) => {
    const { path, added, replaced, kept } = await writeResults(dir, sampleResults());
    assert.equal(path, join(dir, FILE));
    assert.deepEqual([added.length, replaced.length, kept.length], [1, 0, 0]);
    assert.deepEqual(parseResults(await Deno.readTextFile(path)), sampleResults());
    assert.deepEqual(await namesIn(join(path, "..")), ["heads16-batch1-fp8_e4m3.json"]);
  });
});

Deno.test("writeResults() refers to schema.json at the top of the results folder, whatever the fresh ones say", async () => {
  await withFolder(async (dir) => {
    const { path } = await writeResults(dir, { ...sampleResults(), $schema: "elsewhere.json" });
    const { $schema } = parseResults(await Deno.readTextFile(path));
    assert.equal(join(path, "..", $schema!), join(dir, "schema.json"));
  });
});

Deno.test("writeResults() merges into the file and changes no byte of it the second time", async () => {
  await withFolder(async (dir) => {
    await writeResults(dir, sampleResults([[132, 1024]]));
    const { path, added } = await writeResults(dir, sampleResults([[132, 4096]]));
    assert.deepEqual(added, [{ smCount: 132, contextLen: 4096, why: "new" }]);
    const text = await Deno.readTextFile(path);
    const { kept } = await writeResults(dir, sampleResults([[132, 1024], [132, 4096]]));
    assert.equal(kept.length, 2);
    assert.equal(await Deno.readTextFile(path), text);
  });
});

Deno.test("writeResults() takes away what a killed writer of the same file left aside, and no other's", async () => {
  await withFolder(async (dir) => {
    const { path } = await writeResults(dir, sampleResults());
    const other = join(path, "..", "heads16-batch1-fp8_e4m3-fp8_p.json.1.tmp");
    for (const left of [`${path}.1.tmp`, `${path}.2.tmp`, other]) await Deno.writeTextFile(left, "{");
    await writeResults(dir, sampleResults());
    assert.deepEqual(await namesIn(join(path, "..")), [
      "heads16-batch1-fp8_e4m3-fp8_p.json.1.tmp",
      "heads16-batch1-fp8_e4m3.json",
    ]);
  });
});

Deno.test("writeResults() loses no entry of 20 writers at once", async () => {
  await withFolder(async (dir) => {
    const contexts = Array.from({ length: 20 }, (_, i) => 1024 * (i + 1));
    await Promise.all(contexts.map((contextLen) => writeResults(dir, sampleResults([[132, contextLen]]))));
    const { configs } = parseResults(await Deno.readTextFile(join(dir, FILE)));
    assert.deepEqual(Object.keys(configs["132"]).map(Number), contexts);
    assert.deepEqual(await namesIn(join(dir, FILE, "..")), ["heads16-batch1-fp8_e4m3.json"]);
  });
});

Deno.test("writeResults() refuses to overwrite a file that is no results file, naming it, and leaves it", async () => {
  await withFolder(async (dir) => {
    const path = join(dir, FILE);
    await Deno.mkdir(join(path, ".."), { recursive: true });
    for (const text of ["", "{}", "precious notes"]) {
      await Deno.writeTextFile(path, text);
      await assert.rejects(
        writeResults(dir, sampleResults()),
        (error: Error) => error.message.startsWith(`Cannot overwrite ${path}: Cannot read results: `),
      );
      assert.equal(await Deno.readTextFile(path), text);
    }
    assert.deepEqual(await namesIn(join(path, "..")), ["heads16-batch1-fp8_e4m3.json"]);
  });
});

Deno.test("writeResults() refuses to mix problems in one file, naming the path and the field", async () => {
  await withFolder(async (dir) => {
    const { path } = await writeResults(dir, sampleResults());
    const other: Results = { ...sampleResults(), problem: { ...sampleResults().problem, latent: 256 } };
    await assert.rejects(
      writeResults(dir, other),
      (error: Error) => error.message.includes(path) && error.message.includes("problem.latent is 512"),
    );
  });
});

Deno.test("writeResults() names a folder that cannot be written", async () => {
  await withFolder(async (dir) => {
    const file = join(dir, "file");
    await Deno.writeTextFile(file, "");
    await assert.rejects(
      writeResults(file, sampleResults()),
      (error: Error) =>
        error.message.startsWith(`Cannot write results into ${join(file, "mla_decode/cuda/nvidia-h200")}: `) &&
        error.message.endsWith("expected a folder that can be written"),
    );
  });
});

Deno.test("writeResults() writes nothing where the fresh results are invalid", async () => {
  await withFolder(async (dir) => {
    const wrong = sampleResults([[132, 1024]], { BLOCK_N: 0 }, sampleEvidence());
    await assert.rejects(writeResults(dir, wrong), /configs\["132"\]\["1024"\].BLOCK_N is 0/);
    assert.deepEqual(await namesIn(dir), []);
  });
});
