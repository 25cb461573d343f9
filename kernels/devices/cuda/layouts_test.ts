import assert from "node:assert/strict";
import type { CudaArg } from "../device.ts";
import { addressOf, extent, LAYOUT, packArgs, packLaunchConfig } from "./layouts.ts";
import { hasCompiler, stubDriver } from "./stub/stub.ts";

const ignore = !hasCompiler;

Deno.test({
  name: "LAYOUT has the sizes and offsets that a C compiler gives cuda.h's structs",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    const { launchConfig, launchAttribute, devResource } = LAYOUT;
    const ours = [...Object.values(launchConfig), ...Object.values(launchAttribute), ...Object.values(devResource)];
    const theirs = new Int32Array(new ArrayBuffer(4 * ours.length));
    stub.controls.stub_layout(theirs);
    assert.deepEqual([...theirs], ours);
    if (!stub.controls.stub_has_real_header()) {
      console.error("NOTE: compared with the stub's own cuda_abi.h, no cuda.h");
    }
  },
});

Deno.test({
  name: "packArgs() lays out nested structs as C does",
  ignore,
  fn: async () => {
    using stub = await stubDriver();
    const arg: CudaArg = {
      struct: [
        { i32: -7 },
        { f32: 1.5 },
        { buffer: "p" },
        { struct: [{ i32: 3 }, { u64: 1n << 40n }, { f32: -2.25 }] },
        { i32: 9 },
      ],
    };
    const packed = packArgs([arg], () => 0x1234_5678n);
    const read = new Float64Array(new ArrayBuffer(64));
    stub.controls.stub_read_shapes(packed.bytes, read);
    assert.deepEqual([...read], [-7, 1.5, 0x1234_5678, 3, 2 ** 40, -2.25, 9, extent(arg).size]);
  },
});

Deno.test("packArgs() points at each argument", () => {
  const { bytes, offsets, pointers } = packArgs([{ i32: 1 }, { buffer: "b" }, { f32: 2 }], () => 77n);
  const base = addressOf(bytes);
  assert.deepEqual([...pointers], offsets.map((offset) => base + BigInt(offset)));
  assert.equal(new DataView(bytes.buffer).getBigUint64(offsets[1], true), 77n);
});

Deno.test("packArgs() keeps the bits of unsigned 32-bit values and refuses what does not fit", () => {
  const { bytes } = packArgs([{ i32: 0xffff_fffe }], () => 0n);
  assert.equal(new DataView(bytes.buffer).getUint32(0, true), 0xffff_fffe);
  assert.throws(() => packArgs([{ i32: 2 ** 32 }], () => 0n), RangeError);
  assert.throws(() => packArgs([{ i32: 0.5 }], () => 0n), RangeError);
  assert.throws(() => packArgs([{ u64: -1n }], () => 0n), RangeError);
});

Deno.test("packLaunchConfig() points at attributes only where there are some", () => {
  const shape = { grid: [3, 2, 1], block: [128, 1, 1], sharedBytes: 1024, pdl: false } as const;
  const plain = new DataView(packLaunchConfig(shape, 5n).bytes.buffer);
  assert.equal(plain.getBigUint64(LAYOUT.launchConfig.hStream, true), 5n);
  assert.equal(plain.getBigUint64(LAYOUT.launchConfig.attrs, true), 0n);
  assert.equal(plain.getUint32(LAYOUT.launchConfig.numAttrs, true), 0);
  const full = packLaunchConfig({ ...shape, cluster: [2, 1, 1], pdl: true }, 5n);
  const view = new DataView(full.bytes.buffer);
  assert.equal(view.getBigUint64(LAYOUT.launchConfig.attrs, true), addressOf(full.attributes));
  assert.equal(view.getUint32(LAYOUT.launchConfig.numAttrs, true), 2);
});
