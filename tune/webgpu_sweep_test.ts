import { notStrictEqual, ok, strictEqual } from "node:assert";
import { BACKENDS, findDevices } from "./backends.ts";
import { Journal } from "./journal.ts";
import type { SweepSettings } from "./settings.ts";
import { sweep } from "./sweep.ts";
import { inFolder, sabotagedWorker } from "./testing/command.ts";

const { devices } = await findDevices("webgpu", BACKENDS.webgpu);
if (devices.length === 0) console.warn("SKIPPED: no WebGPU adapter, so no test of a sweep on WebGPU (deno task setup)");

const SABOTAGED = { webgpu: sabotagedWorker("webgpu") };

function settings(folder: string): SweepSettings {
  return {
    kernel: "mla_decode",
    backend: "webgpu",
    device: 0,
    problem: { heads: 4, batch: 1 },
    contexts: [256],
    budgetSeconds: 15,
    strategy: "random",
    seed: 3,
    coldCache: true,
    resultsDir: `${folder}/results`,
    command: "deno run tune",
  };
}

Deno.test({
  name: "sweep() on WebGPU records a config that is fast and wrong as wrong, and does not choose it",
  ignore: devices.length === 0,
  fn: inFolder(async (folder) => {
    using journal = Journal.open(`${folder}/journal.db`);
    const report = await sweep(settings(folder), { journal, backends: SABOTAGED });
    const { verdict, candidates } = report.rows[0].report!;
    const rows = [...candidates.values()];
    const planted = rows.filter(({ config }) => config.max_kv_splits === 2);
    ok(planted.length > 0, `none of ${rows.length} candidates was planted`);
    for (const row of planted) {
      strictEqual(row.outcome, "wrong", row.message);
      strictEqual(row.cost, undefined);
    }
    const honest = rows.filter(({ config }) => config.max_kv_splits !== 2);
    ok(honest.length > 0 && honest.every(({ outcome }) => outcome === "ok"), "the honest candidates are all right");
    notStrictEqual(verdict.config.max_kv_splits, 2);
  }),
});
