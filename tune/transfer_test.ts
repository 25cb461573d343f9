import { deepStrictEqual, strictEqual } from "node:assert";
import type { Space } from "../kernels/space.ts";
import { type CandidateRow, Journal, type TaskIdentity, taskKey } from "./journal.ts";
import { inFolder } from "./testing/command.ts";
import { CANDIDATES, IDENTITY } from "./testing/journal_rows.ts";
import { configsOf, fitted, lessons, otherTasks, taught } from "./transfer.ts";

const param = (name: string, values: (number | string)[]) => ({ name, values, what: name, recompiles: true });
const SPACE: Space = {
  params: [param("tile", [16, 32, 64]), param("splits", [1, 33, 66])],
  constraints: [{ name: "small", reason: "small", holds: ({ tile, splits }) => Number(tile) * Number(splits) < 4000 }],
};

const task = (contextLen: number, device = "A"): TaskIdentity => ({
  ...IDENTITY,
  device: { ...IDENTITY.device, name: device },
  problem: { heads: 16, batch: 1, contextLens: [contextLen] },
});
const row = (tile: number, splits: number, cost?: number): CandidateRow => ({
  ...CANDIDATES[0],
  config: { tile, splits },
  outcome: cost === undefined ? "compile" : "ok",
  cost,
});

const adding = (journal: Journal) => async (identity: TaskIdentity, ...rows: CandidateRow[]) => {
  for (const one of rows) journal.addCandidate(await taskKey(identity), identity, one);
};

Deno.test(
  "lessons() gives given configs and the nearest task's in turn, then others', this device's before another's, each once",
  inFolder(async (folder) => {
    using journal = Journal.open(`${folder}/journal.db`);
    const add = adding(journal);
    await add(task(4096, "B"), row(16, 66, 0.1));
    await add(task(1024), row(16, 1, 0.5), row(32, 1, 0.4));
    await add(task(2048), row(64, 33, 0.7), row(32, 33, 0.9), row(16, 33), row(32, 1, 0.95));
    await add(task(4096), row(16, 66, 0.01)); // Its own rows are no lesson.
    deepStrictEqual(lessons(journal, await otherTasks(journal, task(4096)), SPACE, [{ tile: 16, splits: 33 }]), [
      { tile: 16, splits: 33 },
      { tile: 64, splits: 33 },
      { tile: 32, splits: 33 },
      { tile: 32, splits: 1 },
      { tile: 16, splits: 1 },
      { tile: 16, splits: 66 },
    ]);
  }),
);

Deno.test(
  "taught() gives what the nearest task measured, failures too, as the space has it, and nothing from afar",
  inFolder(async (folder) => {
    using journal = Journal.open(`${folder}/journal.db`);
    const add = adding(journal);
    await add(task(4096), row(16, 66, 0.01)); // Its own rows teach nothing.
    const taughtTo = async (identity: TaskIdentity) => taught(journal, await otherTasks(journal, identity), SPACE);
    strictEqual(await taughtTo(task(4096)), undefined);
    await add(task(1024), row(16, 1, 0.5));
    await add(task(2048), row(64, 33, 0.7), row(64, 32, 0.6), row(16, 33), row(64, 66, 0.1));
    deepStrictEqual(await taughtTo(task(4096)), {
      problem: task(2048).problem,
      smCount: IDENTITY.device.smCount,
      rows: [{ config: { tile: 64, splits: 33 }, cost: 0.6 }, { config: { tile: 16, splits: 33 }, cost: undefined }],
    });
    strictEqual(await taughtTo(task(1 << 20)), undefined);
    strictEqual(await taughtTo(task(4096, "B")), undefined);
  }),
);

Deno.test("configsOf() gives a results file's configs, those of the nearest sizes first", () => {
  const at = (max_kv_splits: number) => ({ max_kv_splits });
  const configs = { 132: { 1024: at(1), 4096: at(2) }, 66: { 4096: at(3) }, 8: { 4096: at(4), 512: at(5) } };
  deepStrictEqual(configsOf({ configs }, 120, 4000), [2, 3, 1, 4].map(at));
});

Deno.test("fitted() takes the nearest values of the space, first ones for new parameters, and nothing that it does not admit", () => {
  strictEqual(fitted(SPACE, { tile: 64, splits: 64 }), undefined);
  deepStrictEqual(fitted(SPACE, { tile: 20, splits: 64 }), { tile: 16, splits: 66 });
  deepStrictEqual(fitted(SPACE, { tile: 16 }), { tile: 16, splits: 1 });
});
