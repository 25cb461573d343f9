import assert from "node:assert/strict";
import { type ConfigFor, lookup, type ResultsFor } from "../mod.ts";
import { sampleResults } from "./testing/samples.ts";

Deno.test("ResultsFor<kernel, backend> types a file and what lookup() gives, parameter by parameter", () => {
  const table = sampleResults() as ResultsFor<"mla_decode", "cuda">;
  const found = lookup(table, { contextLen: 1024 });
  if (found.match === "formula") throw new Error("nothing was found");
  const pdl: boolean = found.config.pdl;
  const tile: number = found.config.BLOCK_N;
  const kernel: "mla_decode" = table.kernel;
  const baseline: number = table.evidence["132"]["1024"].baselineConfig.num_stages;
  assert.deepEqual([pdl, tile, kernel, baseline], [true, 64, "mla_decode", 2]);
  // @ts-expect-error a parameter of the other backend
  assert.equal(found.config.qk_tile, undefined);
});

Deno.test("ConfigFor<kernel, backend> admits the kernel's values alone", () => {
  const config: Pick<ConfigFor<"mla_decode", "webgpu">, "qk_tile" | "schedule" | "ACC"> = {
    qk_tile: "4x8",
    schedule: "wave",
    // @ts-expect-error no such type of accumulator
    ACC: "f64",
  };
  assert.equal(config.schedule, "wave");
});
