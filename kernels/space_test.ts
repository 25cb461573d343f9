import { deepStrictEqual, strictEqual, throws } from "node:assert";
import {
  brokenConstraint,
  combinations,
  configKey,
  configs,
  narrow,
  parseConfig,
  sampleConfig,
  type Space,
} from "./space.ts";

const SPACE: Space = {
  params: [
    { name: "tile", values: [16, 32, 64], what: "tokens a tile", recompiles: true },
    { name: "stages", values: [1, 2], what: "tiles in flight", recompiles: true },
  ],
  constraints: [{ name: "storage", reason: "64 KiB at most", holds: (c) => Number(c.tile) * Number(c.stages) <= 64 }],
};

Deno.test("combinations() gives each combination once, the last parameter changing fastest", () => {
  const all = [...combinations(SPACE)];
  strictEqual(all.length, 6);
  strictEqual(new Set(all.map(configKey)).size, 6);
  deepStrictEqual(all.slice(0, 3), [{ tile: 16, stages: 1 }, { tile: 16, stages: 2 }, { tile: 32, stages: 1 }]);
});

Deno.test("combinations() of a space with an empty parameter gives nothing", () => {
  const empty = { ...SPACE, params: [...SPACE.params, { name: "none", values: [], what: "", recompiles: true }] };
  deepStrictEqual([...combinations(empty)], []);
});

Deno.test("configs() leaves out what a constraint forbids, and brokenConstraint() names it", () => {
  strictEqual([...configs(SPACE)].length, 5);
  strictEqual(brokenConstraint(SPACE, { tile: 64, stages: 2 })?.name, "storage");
  strictEqual(brokenConstraint(SPACE, { tile: 64, stages: 1 }), undefined);
});

Deno.test("sampleConfig() reaches the first and the last value of each parameter", () => {
  deepStrictEqual(sampleConfig(SPACE, () => 0), { tile: 16, stages: 1 });
  deepStrictEqual(sampleConfig(SPACE, () => 1 - 2 ** -53), { tile: 64, stages: 2 });
});

Deno.test("configKey() does not depend on the order of fields", () => {
  strictEqual(configKey({ stages: 2, tile: 16 }), configKey({ tile: 16, stages: 2 }));
});

Deno.test("parseConfig() refuses unknown, missing and foreign values by name", () => {
  deepStrictEqual(parseConfig(SPACE, { stages: 2, tile: 16 }), { tile: 16, stages: 2 });
  throws(() => parseConfig(SPACE, { tile: 16 }), /"stages" is missing/);
  throws(() => parseConfig(SPACE, { tile: 17, stages: 1 }), /tile is 17, expected one of 16, 32, 64/);
  throws(() => parseConfig(SPACE, { tile: 16, stages: 1, warp: 4 }), /unknown parameter "warp", expected tile, stages/);
  throws(() => parseConfig(SPACE, [16, 1]), /expected an object/);
});

Deno.test("parseConfig() gives an absent parameter the value that it says it then has", () => {
  const since = { name: "cluster", values: [1, 2], what: "blocks a cluster", recompiles: true, absent: 1 };
  const space = { ...SPACE, params: [...SPACE.params, since] };
  deepStrictEqual(parseConfig(space, { tile: 16, stages: 2 }), { tile: 16, stages: 2, cluster: 1 });
  deepStrictEqual(parseConfig(space, { tile: 16, stages: 2, cluster: 2 }), { tile: 16, stages: 2, cluster: 2 });
  throws(
    () => parseConfig(narrow(space, { cluster: ["2"] }), { tile: 16, stages: 2 }),
    /cluster is 1, expected one of 2/,
  );
});

Deno.test("narrow() keeps the named values, and every constraint", () => {
  const space = narrow(SPACE, { tile: ["32", "64"] });
  deepStrictEqual([...configs(space)].map(configKey), [
    "stages=1 tile=32",
    "stages=2 tile=32",
    "stages=1 tile=64",
  ]);
  deepStrictEqual([...configs(narrow(SPACE, {}))], [...configs(SPACE)]);
});

Deno.test("narrow() names a parameter or a value that the space has not, and what it has", () => {
  throws(() => narrow(SPACE, { warps: ["4"] }), /no parameter "warps", expected tile, stages/);
  throws(() => narrow(SPACE, { tile: ["16", "17"] }), /tile is never "17", expected 16, 32, 64/);
});
