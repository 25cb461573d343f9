import assert from "node:assert/strict";
import { evaluateInteger, workgroupNeeds } from "./wgsl_limits.ts";

const entry = "@compute @workgroup_size(64) fn main() {}";

Deno.test("workgroupNeeds() reads the workgroup's size in one to three dimensions, with constants", () => {
  const sizes: [string, number[]][] = [["64", [64, 1, 1]], ["8, 4", [8, 4, 1]], ["X, Y * 2u, 1u", [16, 8, 1]]];
  for (const [text, size] of sizes) {
    const source = `const X = 16; const Y: u32 = 4u;\n@compute @workgroup_size(${text})\nfn main() {}`;
    const needs = workgroupNeeds(source, "main");
    assert.deepEqual(needs.size, size);
    assert.equal(needs.invocations, size[0] * size[1] * size[2]);
  }
});

Deno.test("workgroupNeeds() finds the named entry point among several", () => {
  const source = `@compute @workgroup_size(32) fn a() {}
    @compute @workgroup_size(256) fn b(@builtin(local_invocation_index) i: u32) {}`;
  assert.equal(workgroupNeeds(source, "a").invocations, 32);
  assert.equal(workgroupNeeds(source, "b").invocations, 256);
});

Deno.test("workgroupNeeds() sizes workgroup variables as WGSL lays them out", () => {
  const cases: [string, number][] = [
    ["f32", 16], // each variable is rounded up to 16
    ["array<f32, 5>", 32],
    ["array<u32, N>", 160],
    ["array<vec3f, 4>", 64], // a vec3f is aligned to 16
    ["array<vec4<f16>, 6>", 48],
    ["array<vec2h, 3>", 16],
    ["array<atomic<u32>, 8>", 32],
    ["array<array<vec4u, 37>, (N - 8) / 8>", 37 * 16 * 4],
    ["mat3x3f", 48],
    ["Pair", 32],
    ["array<Pair, 3>", 96],
  ];
  for (const [type, bytes] of cases) {
    const source = `const N = 40; struct Pair { a: f32, b: vec3f, }\nvar<workgroup> x: ${type};\n${entry}`;
    assert.equal(workgroupNeeds(source, "main").storageBytes, bytes, type);
  }
});

Deno.test("workgroupNeeds() adds variables up and takes no notice of comments", () => {
  const source = `/* var<workgroup> no: f32; */ // var<workgroup> no: f32;
    var<workgroup> a: array<f32, 4>; var<workgroup> b: array<f32, 8>; var<private> c: array<f32, 99>;\n${entry}`;
  assert.equal(workgroupNeeds(source, "main").storageBytes, 48);
});

Deno.test("workgroupNeeds() throws where it would have to guess", () => {
  assert.throws(() => workgroupNeeds("fn main() {}", "main"), /Cannot find "main" with a @workgroup_size/);
  assert.throws(() => workgroupNeeds(entry, "other"), /Cannot find "other"/);
  assert.throws(() => workgroupNeeds(`var<workgroup> x: array<Unknown, 3>;${entry}`, "main"), /"Unknown"/);
  assert.throws(() => workgroupNeeds(`var<workgroup> x: array<f32, M>;${entry}`, "main"), /"M"/);
});

Deno.test("evaluateInteger() follows precedence, brackets and WGSL's truncating division", () => {
  const cases: [string, number][] = [["1 + 2 * 3", 7], ["(1 + 2) * 3", 9], ["7 / 2", 3], ["7 % 4 + 1", 4], [
    "-3 + 5",
    2,
  ]];
  for (const [text, value] of cases) assert.equal(evaluateInteger(text, () => undefined), value, text);
  for (const text of ["", "1 +", "(1", "1 2", "a"]) {
    assert.throws(() => evaluateInteger(text, () => undefined), /Cannot evaluate/, text);
  }
});
