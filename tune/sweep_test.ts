import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { inFolder, killHard, simulated, simulatedCommand } from "./testing/command.ts";
import { afterTries, journalRows, tried } from "./testing/observe.ts";
import type { SimulationPlan } from "./testing/simulated_device.ts";

/** Every config of a small space, so that any two runs see the same candidates. */
const SWEEP = ["sweep", "--contexts", "64", "--heads", "16", "--strategy", "exhaustive", "--budget", "10m", "--json"];
const into = (folder: string) => ["--results", `${folder}/results`, "--journal", `${folder}/journal.db`];

/** The rows of a journal of one context, by config key. */
const rowsOf = (folder: string) => new Map(journalRows(folder).map((row) => [row.config_key, row]));

/** What a sweep decided: all of its answer but when it was measured. */
function answerOf(stdout: string) {
  return JSON.parse(stdout).rows.map(({ date: _, ...row }: { date: string }) => row);
}

function logged(folder: string): SimulationPlan & { log: string } {
  const log = `${folder}/tried`;
  Deno.writeTextFileSync(log, "");
  return { log, delayMs: 10 }; // Slow enough to be interrupted between two candidates.
}

/** Runs the sweep unbroken, in a folder of its own. */
async function unbroken(folder: string, plan: SimulationPlan = {}) {
  Deno.mkdirSync(`${folder}/unbroken`);
  const { code, stdout, stderr } = await simulated([...SWEEP, ...into(`${folder}/unbroken`)], plan);
  strictEqual(code, 0, stderr);
  return { answer: answerOf(stdout), rows: rowsOf(`${folder}/unbroken`) };
}

Deno.test(
  "sweep() goes on after kill -9: no finished row is lost or measured again, and the answer is that of an unbroken run",
  inFolder(async (folder) => {
    const whole = await unbroken(folder);
    const plan = logged(folder);
    const child = simulatedCommand([...SWEEP, ...into(folder)], plan).spawn();
    await afterTries(plan.log, 25);
    await killHard(child.pid);
    strictEqual((await child.output()).signal, "SIGKILL");

    const before = rowsOf(folder);
    ok(before.size >= 20 && before.size < whole.rows.size, `${before.size} rows at the kill`);
    const triesBefore = tried(plan.log).length;
    const { code, stdout, stderr } = await simulated([...SWEEP, ...into(folder)], plan);
    strictEqual(code, 0, stderr);
    deepStrictEqual(answerOf(stdout), whole.answer);
    const after = rowsOf(folder);
    for (const [key, row] of before) deepStrictEqual(after.get(key), row);
    deepStrictEqual([...after.keys()].sort(), [...whole.rows.keys()].sort());

    // The second start tries the baseline and the finalists of the race again, and no other finished row.
    const again = new Set(tried(plan.log).slice(triesBefore).filter((key) => before.has(key)));
    ok(again.size <= 5, `${again.size} finished candidates tried again`);
  }),
);

Deno.test(
  "sweep() goes on with a new worker after kill -9 of its worker, and the answer is that of an unbroken run",
  inFolder(async (folder) => {
    const whole = await unbroken(folder);
    const plan = logged(folder);
    const child = simulatedCommand([...SWEEP, ...into(folder)], plan).spawn();
    for (const tries of [12, 35]) {
      await afterTries(plan.log, tries);
      await killHard(Number(Deno.readTextFileSync(`${plan.log}.pid`)));
    }
    const { code, stdout, stderr } = await child.output();
    strictEqual(code, 0, new TextDecoder().decode(stderr));
    deepStrictEqual(answerOf(new TextDecoder().decode(stdout)), whole.answer);
    const outcomes = (rows: ReturnType<typeof rowsOf>) =>
      [...rows.values()].map((row) => `${row.config_key} ${row.outcome}`).sort();
    deepStrictEqual(outcomes(rowsOf(folder)), outcomes(whole.rows));
  }),
);

Deno.test(
  "sweep() ends cleanly on Ctrl-C with exit code 130, and resume() goes on to the answer of an unbroken run",
  inFolder(async (folder) => {
    const whole = await unbroken(folder);
    const plan = logged(folder);
    const child = simulatedCommand([...SWEEP, ...into(folder)], plan).spawn();
    await afterTries(plan.log, 25);
    child.kill("SIGINT");
    child.kill("SIGINT"); // A process group's can arrive twice.
    const stopped = await child.output();
    strictEqual(stopped.code, 130);
    strictEqual(JSON.parse(new TextDecoder().decode(stopped.stdout)).stopped, true);
    const before = rowsOf(folder);
    ok(before.size >= 20 && before.size < whole.rows.size, `${before.size} rows at the stop`);
    const resumed = await simulated(["resume", "--json", "--journal", `${folder}/journal.db`], plan);
    strictEqual(resumed.code, 0, resumed.stderr);
    deepStrictEqual(answerOf(resumed.stdout), whole.answer);
    for (const [key, row] of before) deepStrictEqual(rowsOf(folder).get(key), row);
  }),
);

Deno.test(
  "sweep() records what each fault of a candidate is, and chooses none of them",
  inFolder(async (folder) => {
    const whole = await unbroken(folder);
    const keys = [...whole.rows.keys()].filter((key) => !key.includes("BLOCK_N=32"));
    const faults = ["wrong", "compile", "runtime", "memory", "crash", "lost"];
    const faulty = new Map(faults.map((fault, i) => [fault, keys[Math.floor(i * keys.length / faults.length)]]));
    const plan = {
      ...Object.fromEntries([...faulty].map(([fault, key]) => [fault, [key]])),
      us: Object.fromEntries([...faulty.values()].map((key) => [key, 1])),
    };
    const { code, stdout, stderr } = await simulated([...SWEEP, ...into(folder)], plan);
    strictEqual(code, 0, stderr);
    const rows = rowsOf(folder);
    strictEqual(rows.size, whole.rows.size);
    for (const [fault, key] of faulty) strictEqual(rows.get(key)!.outcome, fault);
    ok(rows.get(faulty.get("compile")!)!.message!.includes("second line"), "the whole compile log is kept");
    ok(JSON.parse(stdout).rows[0].us > 50, "none of the planted 1 µs won");
  }),
);

Deno.test(
  "sweep() with the same journal and more contexts adds to the results file and measures only what is new",
  inFolder(async (folder) => {
    const plan = logged(folder);
    const first = await simulated([...SWEEP, ...into(folder)], plan);
    const known = journalRows(folder).length;
    const tries = tried(plan.log).length;
    const both = await simulated([...SWEEP, "--contexts", "64,96", ...into(folder)], plan);
    strictEqual(both.code, 0, both.stderr);
    const path = JSON.parse(both.stdout).path;
    strictEqual(path, JSON.parse(first.stdout).path);
    deepStrictEqual(Object.keys(JSON.parse(Deno.readTextFileSync(path)).configs["4"]), ["64", "96"]);
    // Beside the new candidates: a baseline each, four finalists for the new context's race, and its winner once more.
    const again = tried(plan.log).slice(tries).length;
    ok(
      again <= journalRows(folder).length - known + 2 + 4 + 1,
      `${again} tries for ${journalRows(folder).length - known} new candidates`,
    );
  }),
);
