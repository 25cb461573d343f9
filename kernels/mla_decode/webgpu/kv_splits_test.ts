import assert from "node:assert/strict";
import type { DeviceSession, HostTensor, OpenDevice, WebGpuProgram } from "../../devices/device.ts";
import { adapterTest } from "../../devices/webgpu_testing.ts";
import { generator } from "../inputs.ts";
import { kvSplitsCap, servedKvSplits, splitLength, waveKvSplits } from "../kv_splits.ts";
import source from "./kv_splits.wgsl" with { type: "text" };

interface Query {
  readonly contextLens: readonly number[];
  readonly heads: number;
  readonly smCount: number;
  readonly headBlocks: number;
  readonly slots: number;
  readonly cap: number;
  readonly granule: number;
}

/** Many batches in one run: each is one pass with its own buffers. */
function program(entryPoint: "served" | "wave", queries: readonly Query[]): WebGpuProgram {
  return {
    backend: "webgpu",
    buffers: queries.flatMap((query, i) => {
      const { contextLens, heads, smCount, headBlocks, slots, cap, granule } = query;
      const params = Uint32Array.of(contextLens.length, heads, smCount, headBlocks, slots, cap, granule, 0);
      const indptr = new Uint32Array(contextLens.length + 1);
      contextLens.forEach((length, b) => indptr[b + 1] = indptr[b] + length);
      const bytes = contextLens.length * 4;
      return [
        { name: `query${i}`, bytes: params.byteLength, data: params },
        { name: `kv_indptr${i}`, bytes: indptr.byteLength, data: indptr },
        { name: `splits${i}`, bytes },
        { name: `chunks${i}`, bytes },
      ];
    }),
    passes: queries.map((_, i) => ({
      label: `${entryPoint}${i}`,
      source,
      entryPoint,
      bindings: [`query${i}`, `kv_indptr${i}`, `splits${i}`, `chunks${i}`],
      workgroups: [1, 1, 1],
    })),
    outputs: queries.flatMap(({ contextLens }, i) =>
      ["splits", "chunks"].map((name) => ({ name: name + i, type: "u32" as const, shape: [contextLens.length] }))
    ),
  };
}

async function compare(
  session: DeviceSession,
  entryPoint: "served" | "wave",
  queries: readonly Query[],
  host: (query: Query) => number[],
): Promise<void> {
  const built = await session.build(program(entryPoint, queries));
  const outputs: ReadonlyMap<string, HostTensor> = await built.run();
  queries.forEach((query, i) => {
    const splits = host(query);
    const chunks = query.contextLens.map((length, b) => splitLength(length, splits[b], query.granule));
    assert.deepEqual([...outputs.get(`splits${i}`)!.data], splits, `${entryPoint} ${JSON.stringify(query)}`);
    assert.deepEqual([...outputs.get(`chunks${i}`)!.data], chunks, `${entryPoint} ${JSON.stringify(query)}`);
  });
  built.destroy();
}

async function compareBoth(device: OpenDevice, queries: readonly Query[]): Promise<void> {
  const session = await device.load([]);
  await compare(session, "served", queries, servedKvSplits);
  await compare(session, "wave", queries, waveKvSplits);
  session.destroy();
}

const SM_COUNTS = [1, 2, 20, 66, 80, 108, 132, 148, 188];

adapterTest("kv_splits.wgsl gives the splits of the host for single requests of many lengths", async (device) => {
  const lengths = [0, 1, 31, 32, 33, 63, 64, 127, 128, 129, 1000, 4097, 32768, 131071, 131072, 1048576];
  const queries = SM_COUNTS.flatMap((smCount) =>
    lengths.map((length): Query => ({
      contextLens: [length],
      heads: 16,
      smCount,
      headBlocks: 1,
      slots: 2 * smCount,
      cap: kvSplitsCap(8, smCount, length),
      granule: 32,
    }))
  );
  await compareBoth(device, queries);
});

adapterTest("kv_splits.wgsl gives the splits of the host for ragged batches drawn at random", async (device) => {
  const random = generator(5);
  const draw = (max: number) => random() % (max + 1);
  const queries = Array.from({ length: 150 }, (): Query => {
    const longest = 2 ** draw(17);
    const contextLens = Array.from({ length: 1 + draw(99) }, () => draw(5) === 0 ? 0 : draw(longest));
    const smCount = SM_COUNTS[draw(SM_COUNTS.length - 1)];
    return {
      contextLens,
      heads: 1 + draw(127),
      smCount,
      headBlocks: 1 + draw(7),
      slots: smCount * (1 + draw(3)),
      cap: 1 + draw(300),
      granule: [1, 16, 32, 64][draw(3)],
    };
  });
  await compareBoth(device, queries);
});
