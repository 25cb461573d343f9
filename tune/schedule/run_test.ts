import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { parseResults, type Results, resultsPath } from "../../results/mod.ts";
import { parsePlanText } from "../plan/plan.ts";
import { inFolder, killHard, simulatedCommand } from "../testing/command.ts";
import { simulatedBackends } from "../testing/simulated_backends.ts";
import type { SimulationPlan } from "../testing/simulated_device.ts";
import { tryLock } from "./lock.ts";
import { GracefulStop } from "./graceful_stop.ts";
import { type RunReport, scheduledRun } from "./run.ts";
import { ScheduleState } from "./state.ts";

/** Two problems of which every config of a small space is tried, so that any two runs see the same candidates. */
const PLAN = `version: 1
tune: [{ kernel: mla_decode, problems: [{ heads: 16 }, { heads: 8 }], contexts: [64, 96] }]
search: { strategy: exhaustive }
budget: { problem: 5m }
`;
/** Every stored winner is old enough to be doubted. */
const DOUBTING = PLAN + "stale: { drift: { after: 0.001s } }\n";

async function runIn(folder: string, text = PLAN, simulation: SimulationPlan = {}): Promise<RunReport> {
  using stop = new GracefulStop();
  return await scheduledRun(parsePlanText(text, "plan.yaml"), {
    backends: simulatedBackends(simulation),
    resultsDir: `${folder}/results`,
    stateDir: `${folder}/state`,
    stop,
    log: () => {},
  });
}

const file = (folder: string, heads: number) =>
  `${folder}/results/` +
  resultsPath({
    kernel: "mla_decode",
    backend: "webgpu",
    device: "Simulated device",
    problem: `heads${heads}-batch1-fp8_e4m3`,
  });
const stored = (folder: string, heads: number): Results => parseResults(Deno.readTextFileSync(file(folder, heads)));

/** The files below a folder, with their text. */
function contents(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(path)) {
      if (isDirectory) walk(`${path}/${name}`);
      else found.set(`${path}/${name}`, Deno.readTextFileSync(`${path}/${name}`));
    }
  };
  walk(folder);
  return found;
}

Deno.test(
  "scheduledRun() tunes what is missing; the second run finds nothing stale and changes no byte",
  inFolder(async (folder) => {
    const first = await runIn(folder);
    strictEqual(first.outcome, "updated", JSON.stringify(first));
    deepStrictEqual([first.targets, first.tuned.length, first.left], [4, 4, 0]);
    deepStrictEqual(Object.keys(stored(folder, 8).configs["4"]), ["64", "96"]);
    const before = contents(`${folder}/results`);
    const second = await runIn(folder);
    deepStrictEqual([second.outcome, second.targets, second.tuned], ["nothing stale", 4, []]);
    deepStrictEqual(contents(`${folder}/results`), before);
  }),
);

Deno.test(
  "scheduledRun() tunes just what was measured with other sources, and says so",
  inFolder(async (folder) => {
    await runIn(folder);
    const before = contents(`${folder}/results`);
    const text = before.get(file(folder, 8))!;
    const { sourceHash } = stored(folder, 8).evidence["4"]["64"];
    Deno.writeTextFileSync(file(folder, 8), text.replaceAll(sourceHash, "0".repeat(64)));
    const { outcome, stale, tuned } = await runIn(folder);
    deepStrictEqual([outcome, tuned.length], ["updated", 2]);
    match(stale[0], /heads8-batch1-fp8_e4m3, context 64, .*: kernel source 000000000000 → /);
    strictEqual(stored(folder, 8).evidence["4"]["96"].sourceHash, sourceHash);
    strictEqual(Deno.readTextFileSync(file(folder, 16)), before.get(file(folder, 16)));
  }),
);

Deno.test(
  "scheduledRun() tunes everything again after the driver changed",
  inFolder(async (folder) => {
    await runIn(folder);
    const { tuned } = await runIn(folder, PLAN, { driver: "2.0" });
    strictEqual(tuned.length, 4);
    match(tuned[0], /: driver 1\.0 → 2\.0; replaced \(stale: other driver\)/);
    strictEqual(stored(folder, 16).evidence["4"]["64"].driver, "2.0");
  }),
);

Deno.test(
  "scheduledRun() measures stored winners again, and tunes only those that have drifted, also where they are slower now",
  inFolder(async (folder) => {
    await runIn(folder);
    deepStrictEqual(await runIn(folder, DOUBTING).then(({ outcome, verified }) => [outcome, verified]), [
      "nothing stale",
      4,
    ]);
    const winner = stored(folder, 16).configs["4"]["64"];
    const key = Object.keys(winner).sort().map((name) => `${name}=${winner[name]}`).join(" ");
    const { outcome, stale, verified } = await runIn(folder, DOUBTING, { us: { [key]: 900 } });
    deepStrictEqual([outcome, verified], ["updated", 4]);
    match(stale[0], /: drift: \d\.\d\d× → 0\.\d\d×$/);
    const { configs, evidence } = stored(folder, 16);
    ok(evidence["4"]["64"].us < 900 && JSON.stringify(configs["4"]["64"]) !== JSON.stringify(winner));
  }),
);

Deno.test(
  "scheduledRun() leaves to the next run what its budget does not reach, and says so",
  inFolder(async (folder) => {
    const spent = await runIn(folder, PLAN.replace("problem: 5m", "run: 0.001s"));
    deepStrictEqual([spent.outcome, spent.left, spent.why], ["skipped", 4, "the run's budget is spent"]);
    deepStrictEqual(await runIn(folder).then(({ outcome, left }) => [outcome, left]), ["updated", 0]);
  }),
);

Deno.test(
  "scheduledRun() tunes the most pressing first",
  inFolder(async (folder) => {
    await runIn(folder);
    Deno.removeSync(file(folder, 8));
    const { tuned } = await runIn(folder, PLAN, { driver: "2.0" });
    deepStrictEqual(tuned.map((line) => /heads(\d+)/.exec(line)![1]), ["8", "8", "16", "16"]);
  }),
);

Deno.test(
  "scheduledRun() skips where another run has the lock",
  inFolder(async (folder) => {
    const lock = tryLock(`${folder}/state/run.lock`)!;
    const { outcome, why } = await runIn(folder);
    lock[Symbol.dispose]();
    strictEqual(outcome, "skipped");
    match(why!, /another run has .*run\.lock/);
    strictEqual((await runIn(folder)).outcome, "updated");
  }),
);

Deno.test(
  "scheduledRun() fails, and leaves the file alone, where a stored file is no results file",
  inFolder(async (folder) => {
    await runIn(folder);
    Deno.writeTextFileSync(file(folder, 16), "{}");
    const { outcome, why } = await runIn(folder);
    strictEqual(outcome, "failed");
    match(why!, /Cannot read .*heads16.*schemaVersion is missing/);
    strictEqual(Deno.readTextFileSync(file(folder, 16)), "{}");
  }),
);

Deno.test(
  "scheduledRun() fails where this host has no device of the plan, and names those it has",
  inFolder(async (folder) => {
    const { outcome, why } = await runIn(folder, PLAN.replace("contexts", "devices: [{ name: Other }], contexts"));
    strictEqual(outcome, "failed");
    match(why!, /Cannot find a device of the plan on this host, which has Simulated device \(webgpu, 4 SMs\)/);
  }),
);

async function git(folder: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command("git", { args, cwd: folder }).output();
  ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

Deno.test(
  "scheduledRun() commits to the plan's branch with a readable summary, and leaves the checked-out branch alone",
  inFolder(async (folder) => {
    await git(folder, "init", "--quiet", "--initial-branch=main");
    const author = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
    await git(folder, ...author, "commit", "--quiet", "--allow-empty", "-m", "first");
    const plan = PLAN + "publish: { branch: tuned }\n";
    const { commit, outcome, why } = await runIn(folder, plan);
    strictEqual(outcome, "updated", why);
    strictEqual(await git(folder, "rev-parse", "tuned"), commit);
    const message = await git(folder, "log", "-1", "--format=%B", "tuned");
    match(message, /^Re-tune 4 configs in 2 files\n/);
    match(message, /- mla_decode heads16-.*context 64, 4 SMs of Simulated device \(webgpu\): missing; added/);
    const files = (await git(folder, "ls-tree", "-r", "--name-only", "tuned")).split("\n");
    deepStrictEqual(files.map((path) => path.split("/").at(-1)), [
      "heads16-batch1-fp8_e4m3.json",
      "heads8-batch1-fp8_e4m3.json",
    ]);
    strictEqual(await git(folder, "log", "--format=%s", "main"), "first");
    strictEqual(await git(folder, "diff", "--cached", "--name-only"), "");
    strictEqual((await runIn(folder, plan)).commit, undefined);
    await runIn(folder, plan, { driver: "2.0" });
    strictEqual(await git(folder, "rev-list", "--count", "tuned"), "3");
  }),
);

/** Starts `schedule --once` slowly enough to be interrupted, and resolves once it has tried `tries` configs. */
async function interruptible(folder: string, tries: number) {
  const log = `${folder}/tried`;
  const plan = `${folder}/plan.yaml`;
  Deno.writeTextFileSync(log, "");
  Deno.writeTextFileSync(plan, PLAN);
  const simulation = { log, delayMs: 10 };
  const args = ["schedule", "--once", "--plan", plan, "--state", `${folder}/state`];
  const child = simulatedCommand(args, simulation).spawn();
  using watcher = Deno.watchFs(log);
  for await (const _ of watcher) if (lines(log).length > tries) break;
  return { child, log };
}

const lines = (path: string) => Deno.readTextFileSync(path).trim().split("\n");

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(
    `schedule --once after ${signal} leaves nothing half-written, and the next run goes on with its measurements`,
    inFolder(async (folder) => {
      const { child, log } = await interruptible(folder, 30);
      if (signal === "SIGTERM") child.kill(signal);
      else await killHard(child.pid);
      const { code, stdout } = await child.output();
      if (signal === "SIGTERM") {
        strictEqual(code, 130);
        match(new TextDecoder().decode(stdout), /"outcome":"stopped"/);
      }
      const written = [...contents(folder).keys()];
      ok(!written.some((path) => path.endsWith(".tmp")), written.join());
      const before = lines(log).length;
      const { outcome, left } = await runIn(folder, PLAN, { log });
      deepStrictEqual([outcome, left], ["updated", 0]);
      const unbroken = `${folder}/unbroken`;
      Deno.mkdirSync(unbroken);
      Deno.writeTextFileSync(`${unbroken}/tried`, "");
      await runIn(unbroken, PLAN, { log: `${unbroken}/tried` });
      // Beside those of an unbroken run: the candidate that was interrupted, another baseline, and a look whether the device
      // is free.
      const more = lines(log).length - lines(`${unbroken}/tried`).length;
      ok(before > 25 && more <= 4, `${before} configs tried before, ${more} more than in an unbroken run`);
      using state = ScheduleState.open(`${folder}/state/schedule.db`);
      deepStrictEqual(state.history(9).map(({ outcome }) => outcome), [
        "updated",
        signal === "SIGTERM" ? "stopped" : undefined,
      ]);
    }),
  );
}
