import { ok, strictEqual } from "node:assert";
import type { WebGpuProgram } from "../kernels/devices/device.ts";
import type { Config, Space } from "../kernels/space.ts";
import { Effort } from "./effort.ts";

const SPACE: Space = {
  params: ["tile", "merge", "splits"].map((name) => ({
    name,
    values: [1, 2, 3],
    what: name,
    recompiles: name !== "splits",
  })),
  constraints: [],
};

/** Two stages, of which each has a parameter of its own. */
function program({ tile, merge }: Config): WebGpuProgram {
  const pass = (source: string) => ({
    label: "",
    source,
    entryPoint: "",
    bindings: [],
    workgroups: [1, 1, 1] as const,
  });
  return { backend: "webgpu", buffers: [], passes: [pass(`first ${tile}`), pass(`second ${merge}`)], outputs: [] };
}

Deno.test("Effort.of() is least where nothing has to be compiled, and between where one of two stages has", () => {
  const effort = new Effort(SPACE, program);
  strictEqual(effort.compile({ tile: 1, merge: 1, splits: 1 }), 2);
  strictEqual(effort.of({ tile: 1, merge: 1, splits: 3 }), 1);
  const [half, whole] = [effort.of({ tile: 1, merge: 2, splits: 1 }), effort.of({ tile: 2, merge: 2, splits: 1 })];
  ok(1 < half && half < whole, `${half} ${whole}`);
  strictEqual(effort.compile({ tile: 1, merge: 2, splits: 1 }), 1);
});

Deno.test("Effort learns from what candidates took, once it has seen some of either kind", () => {
  const effort = new Effort(SPACE, program);
  const fresh = { tile: 3, merge: 3, splits: 1 };
  const assumed = effort.of(fresh);
  effort.spent(500, true);
  strictEqual(effort.of(fresh), assumed);
  for (let i = 0; i < 3; i++) effort.spent(500, true), effort.spent(100, false);
  strictEqual(effort.of(fresh), 5);
});
