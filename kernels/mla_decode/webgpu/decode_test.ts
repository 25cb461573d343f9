import assert from "node:assert/strict";
import type { HostTensor, WebGpuProgram } from "../../devices/device.ts";
import { adapterTest } from "../../devices/webgpu_testing.ts";
import { decodeE4M3 } from "../../fp8.ts";
import { decodeBf16, decodeF16 } from "../../half.ts";
import { expandWgsl } from "../../wgsl_template.ts";
import decode from "./decode.wgsl" with { type: "text" };

/** Decodes every quad of `x` by the kernel's own function. */
function program(kind: "KV_FP8" | "KV_F16" | "KV_BF16", quads: number): WebGpuProgram {
  const quad = kind === "KV_FP8" ? "u32" : "vec2u";
  const values = { KV_FP8: false, KV_F16: false, KV_BF16: false, [kind]: true };
  const source = expandWgsl(decode, values) + `
    @group(0) @binding(0) var<storage, read> x: array<${quad}>;
    @group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < ${quads}u) { out[id.x] = decode(x[id.x]); }
    }`;
  return {
    backend: "webgpu",
    buffers: [{ name: "out", bytes: quads * 16 }],
    passes: [{
      label: "decode",
      source,
      entryPoint: "main",
      bindings: ["x", "out"],
      workgroups: [Math.ceil(quads / 64), 1, 1],
    }],
    outputs: [{ name: "out", type: "f32", shape: [quads * 4] }],
  };
}

adapterTest(
  "decode() of E4M3 is exact for all 256 codes in each position of a word; NaN codes give ±480",
  async (device) => {
    // Each code stands in each of the four positions, beside other codes.
    const codes = Uint8Array.from({ length: 1024 }, (_, i) => ((i >> 2) + 67 * (i & 3)) & 255);
    const session = await device.load([{ name: "x", type: "e4m3", shape: [1024], data: codes }]);
    const out = (await (await session.build(program("KV_FP8", 256))).run()).get("out")!;
    codes.forEach((code, i) => {
      const nan = (code & 0x7f) === 0x7f;
      const expected = nan ? (code & 0x80 ? -480 : 480) : decodeE4M3(code);
      assert.ok(
        Object.is(out.data[i] * 256, expected),
        `code 0x${code.toString(16)} at ${i & 3}: ${out.data[i] * 256}`,
      );
    });
    session.destroy();
  },
);

adapterTest("decode() of f16 and bf16 is exact for all finite values", async (device) => {
  for (const [kind, type, value] of [["KV_F16", "f16", decodeF16], ["KV_BF16", "bf16", decodeBf16]] as const) {
    const data = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const tensor: HostTensor = { name: "x", type, shape: [65536], data };
    const session = await device.load([tensor]);
    const out = (await (await session.build(program(kind, 16384))).run()).get("out")!;
    for (let code = 0; code < 65536; code++) {
      const expected = value(code);
      // WGSL lets an implementation flush subnormals of f32, which bf16 has and f16 has not.
      if (!Number.isFinite(expected) || (expected !== 0 && Math.abs(expected) < 2 ** -126)) continue;
      assert.equal(out.data[code], expected, `${type} 0x${code.toString(16)}`);
    }
    session.destroy();
  }
});
