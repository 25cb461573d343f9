import assert from "node:assert/strict";
import { expandWgsl } from "./wgsl_template.ts";

Deno.test("expandWgsl() replaces names and expressions, by the longest name that it knows", () => {
  const values = { QK: 3, QK_H: 4, type: "vec4f", on: true };
  assert.equal(
    expandWgsl("let a_$QK_H: $type = $QKu + $(QK * (QK_H + 1)) + $on;", values),
    "let a_4: vec4f = 3u + 15 + 1;".replace("+ 1;", "+ true;"),
  );
});

Deno.test("expandWgsl() unrolls loops, also nested ones, whose variables it replaces inside", () => {
  const template = "//#for h in 0..H\n//#for t in 0..2\nvar s_$h_$t = $(h * 2 + t);\n//#end\n//#end";
  assert.equal(expandWgsl(template, { H: 2 }), "var s_0_0 = 0;\nvar s_0_1 = 1;\nvar s_1_0 = 2;\nvar s_1_1 = 3;");
  assert.equal(expandWgsl("//#for i in 2..2\nx\n//#end", {}), "");
});

Deno.test("expandWgsl() keeps the branch that an //#if chooses", () => {
  const template = "//#if N - 1\nmany\n//#else\none\n//#end";
  assert.equal(expandWgsl(template, { N: 1 }), "one");
  assert.equal(expandWgsl(template, { N: 3 }), "many");
  assert.equal(expandWgsl("//#if F\nyes\n//#end", { F: false }), "");
});

Deno.test("expandWgsl() names the line that it cannot expand", () => {
  assert.throws(() => expandWgsl("x\n//#end", {}), /line 2/);
  assert.throws(() => expandWgsl("//#for i in 0..2\nx", {}), /line 1.*no \/\/#end/);
  assert.throws(() => expandWgsl("//#for i of 2\n//#end", {}), /expected NAME in FROM\.\.TO/);
  assert.throws(() => expandWgsl("let a = $missing;", {}), /\$missing has no value/);
});
