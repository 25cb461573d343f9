import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findResults, problemDistance } from "./find.ts";
import { type Results, resultsPath, stringifyResults, writeIndexes, writeResults } from "./mod.ts";
import { sampleResults } from "./testing/samples.ts";
import { serving } from "./testing/serve.ts";

const KEY = { kernel: "mla_decode", backend: "cuda", device: "NVIDIA H200" };

function about(heads: number, batch: number, kvType = "fp8_e4m3"): Results {
  const results = sampleResults();
  return { ...results, problem: { ...results.problem, heads, batch, kvType } };
}

/** A registry on disk and on loopback, for as long as a test runs. */
async function registry(...all: Results[]) {
  const dir = await Deno.makeTempDir();
  for (const results of all) await writeResults(dir, results);
  await writeIndexes(dir);
  const requested: string[] = [];
  const server = serving(async (request) => {
    const { pathname } = new URL(request.url);
    requested.push(pathname);
    const body = await Deno.readTextFile(join(dir, pathname)).catch(() => undefined);
    return new Response(body ?? "no", { status: body === undefined ? 404 : 200 });
  });
  return {
    dir,
    requested,
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("findResults() takes one request where the problem was tuned", async () => {
  await using at = await registry(about(16, 1), about(128, 1));
  const found = await findResults(at.url, { ...KEY, problem: { heads: 128, batch: 1, kvType: "fp8_e4m3" } });
  assert.deepEqual([found.match, found.problem, found.distance], ["exact", "heads128-batch1-fp8_e4m3", 0]);
  assert.equal(found.results.problem.heads, 128);
  assert.deepEqual(at.requested, [`/${resultsPath(about(128, 1))}`]);
});

Deno.test("findResults() falls back to the nearest heads and batch by ratio, from a base without a final slash", async () => {
  await using at = await registry(about(16, 1), about(128, 1), about(16, 32));
  const found = await findResults(at.url.slice(0, -1), { ...KEY, problem: "heads24-batch2-fp8_e4m3" });
  assert.deepEqual([found.match, found.problem], ["nearest", "heads16-batch1-fp8_e4m3"]);
  assert.ok(Math.abs(found.distance - Math.hypot(Math.log2(1.5), 1)) < 1e-12);
  assert.equal(found.url, `${at.url}${resultsPath(about(16, 1))}`);
});

Deno.test("findResults() never takes another cache type, and says what there is", async () => {
  await using at = await registry(about(16, 1, "bf16"));
  await assert.rejects(
    findResults(at.url, { ...KEY, problem: "heads16-batch1-fp8_e4m3" }),
    /there is no .*heads16-batch1-fp8_e4m3.json, and of its kind .*index.json has no other: it has heads16-batch1-bf16$/,
  );
});

Deno.test("findResults() names a device that the registry has not", async () => {
  await using at = await registry(about(16, 1));
  const key = { ...KEY, device: "NVIDIA B200", problem: "heads16-batch1-fp8_e4m3" };
  await assert.rejects(
    findResults(at.url, key),
    /there is no .*nvidia-b200.*, and there is no .*nvidia-b200\/index.json$/,
  );
});

Deno.test("findResults() refuses a neighbour whose bytes are not those that were indexed", async () => {
  await using at = await registry(about(16, 1));
  const path = join(at.dir, resultsPath(about(16, 1)));
  await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace('"max_kv_splits": 33', '"max_kv_splits": 34'));
  await assert.rejects(
    findResults(at.url, { ...KEY, problem: "heads32-batch1-fp8_e4m3" }),
    /its SHA-256 is .*, expected/,
  );
});

Deno.test("findResults() goes on to the next neighbour where an indexed file is gone", async () => {
  await using at = await registry(about(16, 1), about(64, 1));
  await Deno.remove(join(at.dir, resultsPath(about(16, 1))));
  const { problem } = await findResults(at.url, { ...KEY, problem: "heads24-batch1-fp8_e4m3" });
  assert.equal(problem, "heads64-batch1-fp8_e4m3");
});

Deno.test("findResults() refuses a file that is about another device than its place says", async () => {
  await using at = await registry(about(16, 1));
  const wrong = { ...about(16, 1), device: { ...about(16, 1).device, name: "NVIDIA B200" } };
  await Deno.writeTextFile(join(at.dir, resultsPath(about(16, 1))), stringifyResults(wrong));
  await assert.rejects(
    findResults(at.url, { ...KEY, problem: "heads16-batch1-fp8_e4m3" }),
    /Cannot use results from .*: they belong at mla_decode\/cuda\/nvidia-b200\/heads16.*, expected .*nvidia-h200/,
  );
});

Deno.test("findResults() reads a registry on disk", async () => {
  await using at = await registry(about(16, 1));
  const { match } = await findResults(pathToFileURL(at.dir), { ...KEY, problem: "heads32-batch1-fp8_e4m3" });
  assert.equal(match, "nearest");
});

Deno.test("problemDistance() is infinite between problems that differ in more than heads and batch", () => {
  assert.equal(problemDistance("heads16-batch1-fp8_e4m3", "heads32-batch4-fp8_e4m3"), Math.sqrt(5));
  assert.equal(problemDistance("heads16-batch1-fp8_e4m3", "heads16-batch1-fp8_e4m3-latent256"), Infinity);
  assert.equal(problemDistance("mine", "mine"), 0);
  assert.equal(problemDistance("mine", "other"), Infinity);
});
