import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { sha256 } from "../kernels/sha256.ts";
import { loadResults, stringifyResults } from "./mod.ts";
import { sampleResults } from "./testing/samples.ts";
import { serving } from "./testing/serve.ts";

const BODY = stringifyResults(sampleResults());

Deno.test("loadResults() reads what a server, a file and a data URL give", async () => {
  await using server = serving(() => new Response(BODY));
  assert.deepEqual(await loadResults(`${server.url}x.json`), sampleResults());
  assert.deepEqual(await loadResults(new URL(server.url)), sampleResults());
  assert.deepEqual(await loadResults(`data:application/json,${encodeURIComponent(BODY)}`), sampleResults());
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, BODY);
    assert.deepEqual(await loadResults(pathToFileURL(file)), sampleResults());
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("loadResults() takes a body with the expected hash and no other", async () => {
  await using server = serving(() => new Response(BODY));
  const hash = await sha256(BODY);
  assert.deepEqual(await loadResults(server.url, { sha256: hash }), sampleResults());
  await assert.rejects(loadResults(server.url, { sha256: "0".repeat(64) }), {
    message: `Cannot load results from ${server.url}: its SHA-256 is ${hash}, expected ${"0".repeat(64)}`,
  });
  await assert.rejects(
    loadResults(server.url, { sha256: "abc" }),
    /the option sha256 is "abc", expected 64 hex digits/,
  );
});

Deno.test("loadResults() names the URL and the status", async () => {
  await using server = serving(() => new Response("no", { status: 404, statusText: "Not Found" }));
  await assert.rejects(loadResults(`${server.url}x.json`), {
    message: `Cannot load results from ${server.url}x.json: the status is 404 Not Found, expected 200 OK`,
  });
});

Deno.test("loadResults() names the URL and the path of a wrong value", async () => {
  await using server = serving(() => new Response(BODY.replace('"BLOCK_N": 64', '"BLOCK_N": "64"')));
  await assert.rejects(loadResults(server.url), (error: Error) => {
    assert.ok(
      error.message.startsWith(`Cannot load results from ${server.url}: configs["132"]["1024"].BLOCK_N is "64"`),
    );
    return error.cause instanceof TypeError;
  });
});

Deno.test("loadResults() stops at its bound, with and without a content-length", async () => {
  let cancelled = false;
  const endless = () =>
    new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1 << 16)),
      cancel: () => {
        cancelled = true;
      },
    });
  await using server = serving((request) =>
    new Response(new URL(request.url).pathname === "/endless" ? endless() : BODY)
  );
  await assert.rejects(loadResults(server.url, { maxBytes: 100 }), /the body has more than 100 bytes/);
  await assert.rejects(loadResults(`${server.url}endless`), /the body has more than 8388608 bytes/);
  await server.shutdown();
  assert.ok(cancelled);
});

Deno.test("loadResults() names a URL that cannot be reached or is none", async () => {
  const { url, shutdown } = serving(() => new Response(BODY));
  await shutdown();
  await assert.rejects(
    loadResults(url),
    (error: Error) => error.message.startsWith(`Cannot load results from ${url}: `),
  );
  await assert.rejects(loadResults("results.json"), {
    name: "TypeError",
    message: /"results.json": expected an absolute/,
  });
  await assert.rejects(loadResults("ftp://host/x.json"), /expected an absolute URL with http:, https:, file: or data:/);
});

Deno.test("loadResults() refuses bytes that are no UTF-8", async () => {
  await using server = serving(() => new Response(new Uint8Array([0x7b, 0xff, 0x7d])));
  await assert.rejects(loadResults(server.url), (error: Error) => error.message.includes(server.url));
});

Deno.test("loadResults() gives up where its signal aborts", async () => {
  await using server = serving(() => new Response(BODY));
  await assert.rejects(loadResults(server.url, { signal: AbortSignal.abort() }), /Cannot load results from .*abort/);
});
