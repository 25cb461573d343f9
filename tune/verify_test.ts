import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { parseResults, type Results } from "../mod.ts";
import { configKey } from "../kernels/space.ts";
import { serving } from "../results/testing/serve.ts";
import { inFolder, simulated } from "./testing/command.ts";
import type { SimulationPlan } from "./testing/simulated_device.ts";
import { judge, type Remeasured } from "./verify.ts";

/** A results file of the simulated device, and its path. */
async function swept(folder: string, plan: SimulationPlan = {}): Promise<{ path: string; results: Results }> {
  const into = ["--results", `${folder}/results`, "--journal", `${folder}/journal.db`, "--json"];
  const sweep = ["sweep", "--contexts", "64,96", "--strategy", "exhaustive", "--budget", "10m", ...into];
  const { code, stdout, stderr } = await simulated(sweep, plan);
  strictEqual(code, 0, stderr);
  const { path } = JSON.parse(stdout);
  return { path, results: parseResults(Deno.readTextFileSync(path)) };
}

/** The same with the baseline as the second entry: the simulated device has the same times for every context. */
async function sweptWithBaseline(folder: string): Promise<{ path: string; results: Results }> {
  const { path, results } = await swept(folder);
  const old = results.evidence["4"]["96"];
  const us = { us: old.baselineUs, interval: [old.baselineUs, old.baselineUs] };
  const entry = { ...old, ...us, chosen: "baseline", speedup: 1, speedupInterval: [1, 1] };
  const changed = {
    ...results,
    configs: { "4": { ...results.configs["4"], "96": old.baselineConfig } },
    evidence: { "4": { ...results.evidence["4"], "96": entry } },
  };
  Deno.writeTextFileSync(path, JSON.stringify(changed));
  return { path, results: parseResults(changed) };
}

const findings = (stdout: string) => JSON.parse(stdout).entries.map(({ finding }: { finding: string }) => finding);

Deno.test(
  "tune verify finds that what was just measured holds, and exits with 0",
  inFolder(async (folder) => {
    const noisy = { noise: 0.02, drift: 0.2, outliers: 0.02, clockSteps: 0.1 };
    const { path } = await swept(folder, { ...noisy, seed: 1 });
    const { code, stdout, stderr } = await simulated(["verify", path], { ...noisy, seed: 2 });
    strictEqual(code, 0, stdout + stderr);
    match(stdout, /64 .* holds .*×.*\n.*96 .* holds .*×/);
    match(stdout, /2 of 2 entries hold/);
  }),
);

Deno.test(
  "tune verify says by how much an entry drifted, and exits with 1",
  inFolder(async (folder) => {
    const { path, results } = await sweptWithBaseline(folder);
    const config = results.configs["4"]["64"];
    const us = results.evidence["4"]["64"].us * 1.3;
    const { code, stdout, stderr } = await simulated(["verify", path, "--json"], { us: { [configKey(config)]: us } });
    strictEqual(code, 1);
    match(stderr, /^error: 1 of 2 entries do not hold\n$/);
    deepStrictEqual(findings(stdout), ["drifted", "holds"]);
    const [{ measured, why }] = JSON.parse(stdout).entries;
    ok(Math.abs(measured.usChange - 0.3) < 0.01 && Math.abs(measured.speedupChange - (1 / 1.3 - 1)) < 0.01, why);
    match(why, /^the speed-up is −23\.\d %, the time is \+30\.\d %$/);
  }),
);

/** Faults by what becomes of the entry that has them. */
const FAULTS: [fault: keyof SimulationPlan, finding: string, why: RegExp][] = [
  ["wrong", "wrong", /relative error 0.7/],
  ["crash", "failed", /crash: .*exit code 139/],
  ["compile", "failed", /compile: error: simulated compiler says no/],
  ["memory", "failed", /memory: the simulated device has no 8 GB left/],
  ["crashTimed", "failed", /crash: .*exit code 139/],
];

Deno.test(
  "tune verify tells wrong from failed, and goes on after either",
  inFolder(async (folder) => {
    const { path, results } = await sweptWithBaseline(folder);
    const bad = [configKey(results.configs["4"]["64"])];
    for (const [fault, finding, why] of FAULTS) {
      const { code, stdout } = await simulated(["verify", path, "--json"], { [fault]: bad });
      strictEqual(code, 1, fault);
      deepStrictEqual(findings(stdout), [finding, "holds"], fault);
      match(JSON.parse(stdout).entries[0].why, why);
    }
  }),
);

Deno.test(
  "tune verify says what cannot be verified on this device, and what is stale",
  inFolder(async (folder) => {
    const { path, results } = await swept(folder);
    const write = (changed: unknown) => Deno.writeTextFileSync(path, JSON.stringify(changed));
    write({ ...results, device: { ...results.device, name: "Another device" } });
    const other = await simulated(["verify", path]);
    strictEqual(other.code, 1);
    match(other.stdout, /cannot run: the file is about Another device, this is Simulated device/);

    const odd = { ...results.configs["4"]["64"], BLOCK_N: 48 };
    write({ ...results, configs: { "4": { ...results.configs["4"], "64": odd } } });
    match((await simulated(["verify", path])).stdout, /context 64: cannot run: .*BLOCK_N is 48, expected one of/);

    write({ ...results, backend: "metal" });
    match((await simulated(["verify", path])).stdout, /cannot run: backend metal is none of webgpu/);

    const evidence = { "4": { "64": { ...results.evidence["4"]["64"], sourceHash: "old" } } };
    write({ ...results, configs: { "4": { "64": results.configs["4"]["64"] } }, evidence });
    const stale = await simulated(["verify", path]);
    strictEqual(stale.code, 0, stale.stderr);
    match(stale.stdout, /holds \(stale\)/);
    match(stale.stdout, /the kernel's sources changed/);
  }),
);

Deno.test(
  "tune verify fetches a URL, and says in one line what is wrong with it",
  inFolder(async (folder) => {
    const { path } = await swept(folder);
    const text = Deno.readTextFileSync(path);
    await using server = serving((request) =>
      request.url.endsWith("/ok.json")
        ? new Response(text)
        : new Response("no", { status: 404, statusText: "Not Found" })
    );
    strictEqual((await simulated(["verify", `${server.url}ok.json`])).code, 0);
    const missing = await simulated(["verify", `${server.url}none.json`]);
    strictEqual(missing.code, 1);
    match(missing.stderr, /^error: Cannot .*none.json.*: the status is 404 Not Found, expected 200 OK\n$/);
    const nowhere = await simulated(["verify", `${folder}/none.json`]);
    strictEqual(nowhere.code, 2);
    match(
      nowhere.stderr,
      /^error: Cannot read results from ".*none.json": no such file, expected a results file, or its URL\n$/,
    );
  }),
);

const MEASURED: Remeasured = {
  us: 100,
  interval: [99, 101],
  baselineUs: 150,
  speedup: 1.5,
  speedupInterval: [1.49, 1.51],
  rounds: 40,
  toolchain: "Deno",
  driver: "1.0",
  date: "2026-11-23T00:00:00.000Z",
  noiseFloor: 0.01,
  relError: 1e-6,
  usChange: 0,
  speedupChange: 0,
};

Deno.test("judge() lets the noise floor separate speed-ups, and the tolerance times", () => {
  const finding = (speedupInterval: [number, number], interval: [number, number]) =>
    judge({ speedupInterval, interval }, MEASURED, 0.1).finding;
  strictEqual(finding([1.4, 1.49], [99, 101]), "holds");
  strictEqual(finding([1.4, 1.478], [99, 101]), "holds"); // 0.8 % apart: less than the noise floor.
  strictEqual(finding([1.4, 1.47], [99, 101]), "drifted");
  strictEqual(finding([1.53, 1.6], [99, 101]), "drifted");
  strictEqual(finding([1.49, 1.51], [91, 92]), "holds");
  strictEqual(finding([1.49, 1.51], [85, 88]), "drifted");
});
