import { match, notStrictEqual, ok, strictEqual } from "node:assert";
import { BACKENDS, findDevices } from "./backends.ts";
import { Journal } from "./journal.ts";
import { sweep } from "./sweep.ts";
import { inFolder, sabotagedWorker } from "./testing/command.ts";

const { devices } = await findDevices("cuda", BACKENDS.cuda);
if (devices.length === 0) console.warn("SKIPPED: no CUDA device, so no test of a sweep on one");

Deno.test({
  name: "sweep() on CUDA goes on after a candidate that poisons its context, with its fault on record",
  ignore: devices.length === 0,
  fn: inFolder(async (folder) => {
    using journal = Journal.open(`${folder}/journal.db`);
    const only = {
      ...{ path: ["portable"], BLOCK_N: ["32"], num_stages: ["2"], blocks_per_sm: ["1"], pdl: ["false"] },
      ...{ merge_slices: ["4", "8"], merge_threads: ["128"], merge_item: ["warp"], max_kv_splits: ["8", "16"] },
    };
    const report = await sweep({
      kernel: "mla_decode",
      backend: "cuda",
      device: 0,
      problem: { heads: 16, batch: 2 },
      contexts: [1024],
      budgetSeconds: 40,
      strategy: "random",
      seed: 3,
      coldCache: true,
      only,
      resultsDir: `${folder}/results`,
      command: "deno run tune",
    }, { journal, backends: { cuda: sabotagedWorker("cuda") } });
    const { verdict, candidates } = report.rows[0].report!;
    const rows = [...candidates.values()];
    const planted = rows.filter(({ config }) => config.merge_slices === 8);
    ok(planted.length > 0, `none of ${rows.length} candidates was planted`);
    for (const row of planted) {
      notStrictEqual(row.outcome, "ok");
      match(row.message!, /illegal/i);
    }
    const honest = rows.filter(({ config }) => config.merge_slices !== 8);
    ok(rows.indexOf(honest.at(-1)!) > rows.indexOf(planted[0]), "an honest candidate comes after a planted one");
    for (const row of honest) strictEqual(row.outcome, "ok", row.message);
    notStrictEqual(verdict.config.merge_slices, 8);
  }),
});
