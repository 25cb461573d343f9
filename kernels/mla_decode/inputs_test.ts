import assert from "node:assert/strict";
import { decodeE4M3 } from "../fp8.ts";
import type { HostTensor } from "../devices/device.ts";
import { cacheBytes, generator, inputs } from "./inputs.ts";
import { parseProblem } from "./problem.ts";

function named(tensors: readonly HostTensor[], name: string): HostTensor {
  return tensors.find((tensor) => tensor.name === name)!;
}

/** FNV-1a over a tensor's bytes. */
function digest({ data }: HostTensor): number {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash;
}

Deno.test("generator() gives the same numbers for the same seed, other ones for others", () => {
  const draw = (seed: number) => Array.from({ length: 4 }, generator(seed));
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  assert.ok(draw(0).every((value) => value > 0));
});

Deno.test("inputs() are the same on every machine: the digests of a small problem", () => {
  const tensors = inputs(parseProblem({ heads: 2, contextLens: [3, 0, 70], pageSize: 16 }), 7);
  const digests = Object.fromEntries(tensors.map((tensor) => [tensor.name, digest(tensor)]));
  assert.deepEqual(digests, { q: 4234329221, cache: 3296018902, kv_indptr: 96083788, kv_indices: 1633973063 });
});

Deno.test("inputs() have the shapes that the problem says", () => {
  const tensors = inputs(
    parseProblem({ heads: 7, contextLens: [33, 0], latent: 256, rope: 32, sinks: true, ioType: "f16" }),
    1,
  );
  assert.deepEqual(Object.fromEntries(tensors.map(({ name, shape, type }) => [name, [type, ...shape]])), {
    q: ["f16", 2, 7, 288],
    cache: ["e4m3", 256, 288],
    kv_indptr: ["i32", 3],
    kv_indices: ["i32", 33],
    sinks: ["f32", 7],
  });
  for (const { shape, data } of tensors) assert.equal(data.length, shape.reduce((a, b) => a * b, 1));
});

Deno.test("inputs() resolve shuffled pages to slots, each slot used once", () => {
  const problem = parseProblem({ contextLens: [100, 65], pageSize: 16, heads: 1 });
  const tensors = inputs(problem, 3);
  const indices = [...named(tensors, "kv_indices").data];
  assert.equal(new Set(indices).size, 165);
  assert.deepEqual([...named(tensors, "kv_indptr").data], [0, 100, 165]);
  indices.slice(0, 100).forEach((slot, t) => assert.equal(slot % 16, t % 16));
  assert.ok(indices.some((slot, t) => t > 0 && t % 16 === 0 && slot !== indices[t - 1] + 1), "pages are out of order");
  assert.equal(named(tensors, "cache").data.byteLength, cacheBytes(problem));
});

Deno.test("inputs() poison the slots that no request uses, and no other", () => {
  const tensors = inputs(parseProblem({ contextLens: 70, pageSize: 16, heads: 1 }), 3);
  const used = new Set(named(tensors, "kv_indices").data);
  const cache = named(tensors, "cache").data;
  for (let slot = 0; slot < cache.length / 576; slot++) {
    const nan = Number.isNaN(decodeE4M3(cache[slot * 576]));
    assert.equal(nan, !used.has(slot), `slot ${slot}`);
  }
});

Deno.test("inputs() store x / kvScale, saturated", () => {
  const magnitude = (kvScale: number) => {
    const tensors = inputs(parseProblem({ contextLens: 64, kvScale, heads: 1 }), 1);
    const slots = named(tensors, "kv_indices").data;
    const cache = named(tensors, "cache").data;
    let sum = 0;
    for (const slot of slots) for (let c = 0; c < 576; c++) sum += decodeE4M3(cache[slot * 576 + c]) ** 2;
    return Math.sqrt(sum / (64 * 576)) * kvScale;
  };
  assert.ok(Math.abs(magnitude(0.013) / magnitude(1) - 1) < 0.05);
  assert.ok(Math.abs(magnitude(3) / magnitude(1) - 1) < 0.05);
});

Deno.test("inputs() repeat the rows of a large cache, and name no slot beyond it", () => {
  const tensors = inputs(parseProblem({ heads: 1, batch: 2, contextLens: [70_000, 0], latent: 64, rope: 0 }), 1);
  const { data, shape } = named(tensors, "cache");
  assert.equal(data.length, 65_521 * 64);
  assert.ok(shape[0] > 70_000 && !data.includes(0x7f));
  const largest = (named(tensors, "kv_indices").data as Int32Array).reduce((a, b) => Math.max(a, b));
  assert.ok(65_521 < largest && largest < shape[0]);
});
