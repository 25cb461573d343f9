import { deepStrictEqual, strictEqual, throws } from "node:assert";
import { DatabaseSync } from "node:sqlite";
import { type CandidateRow, Journal, taskKey } from "./journal.ts";
import { inFolder } from "./testing/command.ts";

const IDENTITY = {
  kernel: "mla_decode",
  sourceHash: "00",
  backend: "webgpu",
  device: { name: "Simulated", arch: "sim", driver: "1", smCount: 4 },
  problem: { heads: 16, batch: 1 },
  seed: 1,
  coldCache: true,
};

const ROW: CandidateRow = {
  config: { BLOCK_N: 32, num_stages: 2 },
  outcome: "ok",
  cost: 0.8,
  samples: [80, 81],
  baselineSamples: [100, 101],
  relError: 1e-6,
  errors: { lseError: 1e-7 },
  compileMs: 12,
  build: { registers: 64 },
  workspaceBytes: 1024,
  spentMs: 250,
};

Deno.test(
  "Journal gives back a candidate's row as it was written, after it was closed",
  inFolder(async (folder) => {
    const key = await taskKey(IDENTITY);
    const wrong: CandidateRow = {
      ...ROW,
      config: { BLOCK_N: 64, num_stages: 1 },
      outcome: "wrong",
      message: "relative error 1",
      cost: undefined,
      relError: NaN,
      samples: [],
      baselineSamples: [],
    };
    {
      using journal = Journal.open(`${folder}/j.db`);
      journal.addCandidate(key, IDENTITY, ROW);
      journal.addCandidate(key, IDENTITY, wrong);
    }
    using journal = Journal.open(`${folder}/j.db`, { mustExist: true });
    const rows = journal.candidates(key);
    deepStrictEqual(rows.get("BLOCK_N=32 num_stages=2"), ROW);
    strictEqual(rows.get("BLOCK_N=64 num_stages=1")!.outcome, "wrong");
    strictEqual(rows.get("BLOCK_N=64 num_stages=1")!.cost, undefined);
  }),
);

Deno.test(
  "Journal refuses a candidate that has a row",
  inFolder(async (folder) => {
    using journal = Journal.open(`${folder}/j.db`);
    const key = await taskKey(IDENTITY);
    journal.addCandidate(key, IDENTITY, ROW);
    throws(() => journal.addCandidate(key, IDENTITY, ROW), /Cannot write journal/);
  }),
);

Deno.test(
  "Journal.open() says why a file is no journal",
  inFolder((folder) => {
    Deno.writeTextFileSync(
      `${folder}/text`,
      "this is a text file, and long enough to be read as a header by SQLite\n".repeat(20),
    );
    throws(() => Journal.open(`${folder}/text`), /Cannot open journal ".*text": it is no journal, expected/);
    const other = new DatabaseSync(`${folder}/other.db`);
    other.exec("CREATE TABLE t (x)");
    other.close();
    throws(() => Journal.open(`${folder}/other.db`), /it is another program's database/);
    throws(() => Journal.open(`${folder}/none.db`, { mustExist: true }), /no such file/);
    throws(() => Journal.open(`${folder}/no/folder/j.db`), /expected a file in a folder that can be written/);
  }),
);

Deno.test(
  "Journal.open() refuses a journal that another connection holds",
  inFolder((folder) => {
    using _held = Journal.open(`${folder}/j.db`);
    throws(() => Journal.open(`${folder}/j.db`), /another kvtune process has it open/);
  }),
);

Deno.test(
  "Journal.lastRun() gives the newest run's settings and when it finished",
  inFolder((folder) => {
    using journal = Journal.open(`${folder}/j.db`);
    strictEqual(journal.lastRun(), undefined);
    journal.startRun({ first: true });
    const id = journal.startRun({ second: true });
    deepStrictEqual(journal.lastRun()!.settings, { second: true });
    strictEqual(journal.lastRun()!.finished, undefined);
    journal.finishRun(id);
    strictEqual(typeof journal.lastRun()!.finished, "string");
  }),
);

Deno.test("taskKey() depends on every field and not on their order", async () => {
  const key = await taskKey(IDENTITY);
  strictEqual(await taskKey({ ...IDENTITY, problem: { batch: 1, heads: 16 } }), key);
  for (
    const change of [{ seed: 2 }, { sourceHash: "01" }, { coldCache: false }, { problem: { heads: 16, batch: 2 } }]
  ) {
    strictEqual(await taskKey({ ...IDENTITY, ...change }) === key, false, JSON.stringify(change));
  }
});
