import assert from "node:assert/strict";
import { maxContextLen, parseProblem, problemFields, problemName, rowBytes, totalTokens, work } from "./problem.ts";

Deno.test("parseProblem() fills in DeepSeek's sizes", () => {
  assert.deepEqual(parseProblem({}), {
    heads: 16,
    latent: 512,
    rope: 64,
    batch: 1,
    contextLens: [2048],
    pageSize: 64,
    kvType: "fp8_e4m3",
    ioType: "f32",
    kvScale: 1,
    smScale: 1 / Math.sqrt(192),
    logitCap: 0,
    sinks: false,
    accuracy: "standard",
  });
});

Deno.test("parseProblem() takes one length for all requests, or a length for each", () => {
  assert.deepEqual(parseProblem({ batch: 3, contextLens: 7 }).contextLens, [7, 7, 7]);
  assert.deepEqual(parseProblem({ contextLens: [0, 5] }).batch, 2);
});

Deno.test("parseProblem() reads what it gave", () => {
  const problem = parseProblem({ heads: 7, contextLens: [1, 2], kvType: "f16", logitCap: 30, sinks: true });
  assert.deepEqual(parseProblem(JSON.parse(JSON.stringify(problem))), problem);
});

Deno.test("parseProblem() names the field, its value and what is accepted", () => {
  const cases: [unknown, ErrorConstructor, RegExp][] = [
    [[], TypeError, /expected an object/],
    [null, TypeError, /from null/],
    [{ head: 1 }, TypeError, /unknown field "head", expected heads, /],
    [{ heads: 0 }, RangeError, /heads is 0, expected an integer from 1 to 128/],
    [{ heads: 129 }, RangeError, /heads is 129/],
    [{ heads: "16" }, TypeError, /heads is "16", expected a number/],
    [{ latent: 500 }, RangeError, /latent is 500, expected a multiple of 64 from 64 to 1024/],
    [{ rope: 8 }, RangeError, /rope is 8, expected a multiple of 16/],
    [{ contextLens: -1 }, RangeError, /contextLens is -1/],
    [{ contextLens: [1, 2], batch: 3 }, RangeError, /contextLens is \[1,2\], expected 3 lengths/],
    [{ contextLens: [1, 0.5] }, RangeError, /contextLens\[1\] is 0.5/],
    [{ contextLens: [1, null] }, TypeError, /contextLens\[1\] is null/],
    [{ contextLens: [] }, RangeError, /batch is 0/],
    [{ kvType: "fp4" }, RangeError, /kvType is "fp4", expected one of fp8_e4m3, f16, bf16/],
    [{ ioType: 3 }, RangeError, /ioType is 3, expected one of f32, f16, bf16/],
    [{ kvScale: 0 }, RangeError, /kvScale is 0, expected a positive finite number/],
    [{ smScale: Infinity }, RangeError, /smScale is /],
    [{ logitCap: -1 }, RangeError, /logitCap is -1/],
    [{ sinks: 1 }, TypeError, /sinks is 1, expected true or false/],
  ];
  for (const [json, kind, message] of cases) {
    assert.throws(
      () => parseProblem(json),
      (error) => error instanceof kind && message.test(error.message),
      `${message}`,
    );
  }
});

Deno.test("problemName() has heads, batch and KV type, and what differs from the default", () => {
  assert.equal(problemName(parseProblem({})), "heads16-batch1-fp8_e4m3");
  const json = {
    heads: 8,
    contextLens: [1, 2],
    kvType: "f16",
    ioType: "f16",
    latent: 256,
    rope: 32,
    logitCap: 30,
    sinks: true,
  };
  assert.equal(problemName(parseProblem(json)), "heads8-batch2-f16-io_f16-latent256-rope32-cap30-sinks-ragged");
});

Deno.test("problemFields() are all fields but the context lengths", () => {
  const fields = problemFields(parseProblem({ contextLens: [1, 2] }));
  assert.ok(!("contextLens" in fields) && fields.ragged === true && fields.heads === 16);
});

Deno.test("work() counts each row once, and both products for each head and token", () => {
  const problem = parseProblem({ heads: 16, contextLens: [100, 28] });
  assert.equal(totalTokens(problem), 128);
  assert.equal(maxContextLen(problem), 100);
  assert.equal(rowBytes(problem), 576);
  assert.equal(work(problem).flops, 2 * 16 * 128 * 1088);
  assert.equal(work(problem).bytes, 128 * (576 + 4) + 2 * 16 * (576 + 512 + 1) * 4 + 12);
});

Deno.test("parseProblem() keeps accuracy classes apart: by name, and only over an FP8 cache", () => {
  const loose = parseProblem({ accuracy: "fp8_p" });
  assert.equal(problemName(loose), "heads16-batch1-fp8_e4m3-fp8_p");
  assert.equal(problemFields(loose).accuracy, "fp8_p");
  assert.equal("accuracy" in problemFields(parseProblem({})), false);
  assert.throws(
    () => parseProblem({ accuracy: "fp8_p", kvType: "bf16" }),
    /accuracy is "fp8_p", expected "standard" for a cache/,
  );
  assert.throws(() => parseProblem({ accuracy: "loose" }), /accuracy is "loose", expected one of standard, fp8_p/);
});
