/** Faults in mid-sweep: each ends as a recorded outcome, and the sweep goes on to its end. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert";
import { configKey } from "../kernels/space.ts";
import type { CandidateRow } from "./journal.ts";
import type { TaskProgress } from "./task.ts";
import { inFolder, simulated } from "./testing/command.ts";
import type { SimulationPlan } from "./testing/simulated_device.ts";
import { simulatedTask, simulatedTimes } from "./testing/simulated_task.ts";

const NOISY: SimulationPlan = {
  noise: 0.05,
  drift: 0.2,
  outliers: 0.02,
  clockSteps: 0.3,
  seed: 4,
  us: simulatedTimes(4),
};

/** The ten configs with this value of `a`. */
const block = (a: number) => Array.from({ length: 10 }, (_, b) => `a=${a} b=${b}`);

/** Faults by the plan's name for them, and the outcome that each is to have. */
const FAULTS: Partial<Record<keyof SimulationPlan, string>> = {
  wrong: "wrong",
  compile: "compile",
  runtime: "runtime",
  memory: "memory",
  hang: "timeout",
  crash: "crash",
  lost: "lost",
  hangTimed: "timeout",
  crashTimed: "crash",
};

for (const [fault, outcome] of Object.entries(FAULTS)) {
  Deno.test(`A task with ten "${fault}" faults in a row and ten apart records each as ${outcome} and goes on`, async () => {
    const bad = [...block(3), ...Array.from({ length: 10 }, (_, a) => `a=${a} b=7`)];
    const fast = Object.fromEntries(bad.map((key) => [key, 1])); // What fails must not win for being fast.
    const { report } = await simulatedTask({ ...NOISY, us: { ...NOISY.us, ...fast }, [fault]: bad });
    strictEqual(report.exhausted, true);
    strictEqual(report.candidates.size, 100);
    for (const [key, row] of report.candidates) strictEqual(row.outcome, bad.includes(key) ? outcome : "ok", key);
    ok(!bad.includes(configKey(report.verdict.config)), configKey(report.verdict.config));
  });
}

Deno.test("A task with all faults at once records each", async () => {
  const plan = Object.fromEntries(Object.keys(FAULTS).map((fault, a) => [fault, block(a + 1)]));
  const { report } = await simulatedTask({ ...NOISY, ...plan });
  const counts: Record<string, number> = {};
  for (const { outcome } of report.candidates.values()) counts[outcome] = (counts[outcome] ?? 0) + 1;
  deepStrictEqual(counts, {
    ok: 10,
    wrong: 10,
    compile: 10,
    runtime: 10,
    memory: 10,
    timeout: 20,
    crash: 20,
    lost: 10,
  });
});

Deno.test("A task does not choose what is wrong when it is checked again, and says so", async () => {
  const best = Object.entries(NOISY.us!).sort(([, a], [, b]) => a - b)[0][0];
  const { report: { verdict } } = await simulatedTask({ ...NOISY, wrongLater: [best] });
  ok(configKey(verdict.config) !== best);
  strictEqual(verdict.chosen, "tuned");
  deepStrictEqual(verdict.dropouts.map(({ config, outcome }) => [configKey(config), outcome]), [[best, "wrong"]]);
});

Deno.test("A task whose device dies for good ends with a message that says after what", async () => {
  const seen: CandidateRow[] = [];
  const onProgress = ({ last }: TaskProgress) => void (last && seen.push(last));
  await rejects(
    simulatedTask({ ...NOISY, diesAfterTries: 30 }, { onProgress }),
    /^FailureError: Cannot go on with device 0: a worker ended \(exit code 139\), and now the baseline fails too: exit code 139$/,
  );
  ok(seen.length > 20 && seen.every(({ outcome }) => outcome === "ok"), "a dead device is no candidate's fault");
});

Deno.test(
  "tune sweep stops a partition whose workers die, with its reason, and finishes the others",
  inFolder(async (folder) => {
    const args = ["sweep", "--sm-counts", "4,2", "--contexts", "64,96", "--strategy", "exhaustive", "--budget", "10m"];
    const into = ["--results", `${folder}/results`, "--journal", `${folder}/journal.db`, "--json"];
    const { code, stdout, stderr } = await simulated([...args, ...into], { deadSmCounts: [2] });
    strictEqual(code, 1);
    match(stderr, /2 of 4 problems could not be tuned/);
    const { rows } = JSON.parse(stdout);
    deepStrictEqual(rows.map((row: { smCount: number; error?: string }) => [row.smCount, row.error === undefined]), [
      [4, true],
      [4, true],
      [2, false],
      [2, false],
    ]);
    match(rows[2].error, /exit code 139/);
  }),
);
