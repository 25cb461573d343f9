import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { randomSource } from "../kernels/random_source.ts";
import { parseResults } from "../mod.ts";
import { inFolder, killHard, simulated, simulatedCommand } from "./testing/command.ts";
import { afterTries, journalRows, tried } from "./testing/observe.ts";

const KILLS = 50;
const CONTEXTS = ["64", "96", "128"];
const SWEEP = ["sweep", "--contexts", CONTEXTS.join(), "--strategy", "exhaustive", "--budget", "10m", "--json"];
const into = (folder: string) => ["--results", `${folder}/results`, "--journal", `${folder}/journal.db`];

/** Every file below a folder. */
function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  );
}

/** The tasks that the results have, and that every file of them is whole. */
function contextsOf(folder: string): string[] {
  const whole = filesBelow(folder).filter((path) => path.endsWith(".json"));
  return whole.flatMap((path) => Object.keys(parseResults(Deno.readTextFileSync(path)).configs["4"]));
}

const name = (row: { context: number; config_key: string }) => `${row.context} ${row.config_key}`;

/** All of a sweep's answer but when it was measured. */
const answerOf = (stdout: string) => JSON.parse(stdout).rows.map(({ date: _, ...row }: { date: string }) => row);

Deno.test(
  `sweep() loses no finished row to ${KILLS} kill -9 at random moments, and both journal and results stay whole`,
  inFolder(async (folder) => {
    const random = randomSource(7);
    const log = `${folder}/tried`;
    Deno.writeTextFileSync(log, "");
    Deno.mkdirSync(`${folder}/results`);
    let rows = new Map<string, unknown>();
    let contexts: string[] = [];
    let kills = 0;
    let starts = 0;
    while (kills < KILLS) {
      ok(starts++ < 2 * KILLS, `${kills} kills in ${starts} starts`);
      const before = tried(log).length;
      const child = simulatedCommand([...SWEEP, ...into(folder)], { log, delayMs: 2 }).spawn();
      const output = child.output();
      // The baseline is the first to be tried; a few rows later, and some way into the next one, comes the end.
      await Promise.race([afterTries(log, before + 1 + Math.floor(8 * random())), output]);
      await new Promise((done) => setTimeout(done, 15 * random()));
      await killHard(child.pid).then(() => kills++, () => {}); // Near its end, the sweep may be faster.
      await output;

      const now = new Map(journalRows(folder).map((row) => [name(row), row]));
      for (const [key, row] of rows) deepStrictEqual(now.get(key), row, `${key} after ${kills} kills`);
      // The baseline is tried at every start, and what was tried last may be unfinished: all else has a row.
      const [baseline] = tried(log);
      const finished = new Set([...now.values(), { config_key: baseline }].map((row) => row.config_key));
      for (const key of tried(log).slice(before, -1)) ok(finished.has(key), `${key} after ${kills} kills`);
      rows = now;
      const known = contextsOf(`${folder}/results`);
      ok(contexts.every((context) => known.includes(context)), `${contexts} became ${known} after ${kills} kills`);
      contexts = known;
    }
    const { code, stdout, stderr } = await simulated([...SWEEP, ...into(folder)]);
    strictEqual(code, 0, stderr);
    deepStrictEqual(contextsOf(`${folder}/results`), CONTEXTS);
    strictEqual(filesBelow(`${folder}/results`).length, 1, "no half-written file is left behind");
    const after = new Map(journalRows(folder).map((row) => [name(row), row]));
    for (const [key, row] of rows) deepStrictEqual(after.get(key), row);

    Deno.mkdirSync(`${folder}/unbroken`);
    const unbroken = await simulated([...SWEEP, ...into(`${folder}/unbroken`)]);
    deepStrictEqual(answerOf(stdout), answerOf(unbroken.stdout));
    console.log(`${kills} kills in ${starts} starts, ${rows.size} of ${after.size} rows at the last one`);
  }),
);
