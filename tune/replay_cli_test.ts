import { deepStrictEqual, match, strictEqual } from "node:assert";
import { Journal, taskKey } from "./journal.ts";
import { readRecordings } from "./replay/read.ts";
import { inFolder, simulated } from "./testing/command.ts";
import { CANDIDATES, IDENTITY } from "./testing/journal_rows.ts";

async function journalIn(folder: string, contexts: readonly number[] = [256]): Promise<string> {
  const path = `${folder}/journal.db`;
  using journal = Journal.open(path);
  for (const contextLen of contexts) {
    const identity = { ...IDENTITY, problem: { heads: 16, batch: 1, contextLens: [contextLen] } };
    for (const row of CANDIDATES) journal.addCandidate(await taskKey(identity), identity, row);
  }
  return path;
}

Deno.test(
  "tune replay --json compares strategies over the tasks of a journal, with no device",
  inFolder(async (folder) => {
    const journal = await journalIn(folder, [256, 512]);
    const args = ["--space", journal, "--strategy", "exhaustive", "random", "--budget", "3", "--seeds", "4", "--json"];
    const { code, stdout, stderr } = await simulated(["replay", ...args]);
    strictEqual(code, 0, stderr);
    const { strategies, seeds } = JSON.parse(stdout);
    strictEqual(seeds, 4);
    deepStrictEqual(strategies.map(({ strategy }: { strategy: string }) => strategy), ["exhaustive", "random"]);
    const [space, ...more] = strategies[0].spaces;
    strictEqual(more.length, 1);
    deepStrictEqual([space.configs, space.failed, space.median["3"], space.within1Percent["3"]], [3, 1, 1, 1]);
    strictEqual(strategies[0].geometricMean["3"], 1);
  }),
);

Deno.test(
  "tune replay prints a table at 20, 50, 100 and 220 evaluations, as far as the budget goes",
  inFolder(async (folder) => {
    const journal = await journalIn(folder);
    const { stdout } = await simulated(["replay", "--space", journal, "--budget", "50", "--seeds", "1"]);
    match(stdout, /space .*configs .*strategy .*@20 .*@50 .*≤ 5 % @50/);
    match(stdout, /heads16-batch1-fp8_e4m3 256 .*3 \(1 failed\) .*bayesian .*1\.0000 .*1\.0000 .*100 %/);
  }),
);

Deno.test(
  "tune export --format recording writes a file that tune replay reads, --format t4 what others read",
  inFolder(async (folder) => {
    const journal = await journalIn(folder);
    const output = `${folder}/out.json.gz`;
    const { code, stderr } = await simulated([
      "export",
      "--format",
      "recording",
      "--journal",
      journal,
      "--output",
      output,
    ]);
    strictEqual(code, 0, stderr);
    const [recording] = readRecordings(output);
    deepStrictEqual(recording.entries.map(({ cost }) => cost).sort(), [0.8, 1.25, undefined]);
    const t4 = JSON.parse((await simulated(["export", "--format", "t4", "--journal", journal])).stdout);
    strictEqual(t4.schema_version, "1.0.0");
    deepStrictEqual(
      t4.results.map((result: { invalidity: string }) => result.invalidity).sort(),
      ["compile", "constraints", "correct", "correct"],
    );
    deepStrictEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["journal.db", "out.json.gz"]);
  }),
);

const BAD_INPUT: [name: string, args: (journal: string) => string[], message: RegExp][] = [
  ["a replay of nothing", () => ["replay"], /required option '--space <files...>' not specified/],
  ["a space that is not there", () => ["replay", "--space", "absent.json"], /Cannot read recording ".*absent.json"/],
  [
    "a replay with no budget",
    () => ["replay", "--space", "x", "--budget", "0"],
    /"0" is out of range, expected a whole/,
  ],
  [
    "a task to replay that is none",
    (journal) => ["replay", "--space", journal, "--task", "cuda"],
    /Cannot replay task "cuda": expected a part of "mla_decode webgpu/,
  ],
  [
    "an export of more than one task",
    (journal) => ["export", "--format", "t4", "--journal", journal],
    /Cannot export task "": 2 match, expected a part of one of "mla_decode webgpu/,
  ],
];

for (const [name, args, message] of BAD_INPUT) {
  Deno.test(
    `tune answers ${name} with one line that names it, and exit code 2`,
    inFolder(async (folder) => {
      const { code, stdout, stderr } = await simulated(args(await journalIn(folder, [256, 512])));
      strictEqual(code, 2, stderr);
      strictEqual(stdout, "");
      match(stderr, message);
      strictEqual(stderr.trim().split("\n").length, 1, stderr);
    }),
  );
}
