import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert";
import { dirname } from "node:path";
import {
  type Evidence,
  INDEX_NAME,
  parseResults,
  type Results,
  resultsPath,
  stringifyResults,
  writeIndexes,
} from "../results/mod.ts";
import { SAMPLE_CONFIG, sampleEvidence, sampleResults } from "../results/testing/samples.ts";
import { recordText } from "./report/verify_table.ts";
import { recordInto, withReplicates } from "./record.ts";
import { inFolder, simulated } from "./testing/command.ts";
import type { SimulationPlan } from "./testing/simulated_device.ts";
import type { Remeasured, VerifiedEntry } from "./verify.ts";

const CONTEXTS = [1024, 2048];
const RESULTS = sampleResults(CONTEXTS.map((contextLen) => [132, contextLen]));

/** What a verification says of an entry of {@linkcode RESULTS} whose times are the claimed ones times `factor`. */
function entry(contextLen: number, factor: number, changes: Partial<VerifiedEntry> = {}): VerifiedEntry {
  const claimed = sampleEvidence();
  const { toolchain, driver, us, baselineUs, speedup } = claimed;
  const measured: Remeasured = {
    us: us * factor,
    interval: [us * factor, us * factor],
    baselineUs,
    speedup: speedup / factor,
    speedupInterval: [speedup / factor, speedup / factor],
    rounds: 20,
    toolchain,
    driver,
    date: "2026-11-23T00:00:00.000Z",
    noiseFloor: 0.001,
    relError: 1e-3,
    usChange: factor - 1,
    speedupChange: 1 / factor - 1,
  };
  return { smCount: 132, contextLen, stale: false, finding: "holds", claimed, measured, ...changes };
}

const at = ({ evidence }: Results, contextLen: number): Evidence => evidence["132"][contextLen];
const near = (a: number, b: number) => ok(Math.abs(a / b - 1) < 1e-9, `${a} is not ${b}`);

Deno.test("withReplicates() adds what was measured behind the sweep's own claim, and takes geometric means", () => {
  const { results, sizes, us, speedup, doubtful } = withReplicates(RESULTS, [entry(1024, 1.02), entry(2048, 0.98)]);
  deepStrictEqual(sizes, CONTEXTS.map((contextLen) => ({ smCount: 132, contextLen })));
  deepStrictEqual(doubtful, []);
  strictEqual(us!.degrees, 2);
  strictEqual(speedup!.degrees, 2);
  const old = at(RESULTS, 1024);
  const { replicates, ...now } = at(results, 1024);
  deepStrictEqual(replicates!.map(({ us, samples, date }) => [us, samples, date]), [
    [20, 40, old.date],
    [20.4, 20, "2026-11-23T00:00:00.000Z"],
  ]);
  near(now.us, 20 * Math.sqrt(1.02));
  near(now.speedup, 1.5 / Math.sqrt(1.02));
  near(now.gbps * now.us, old.gbps * old.us);
  strictEqual(now.samples, 60);
  ok(now.interval[0] < now.us && now.us < now.interval[1]);
  deepStrictEqual(parseResults(stringifyResults(results)), results);
  strictEqual(at(RESULTS, 1024).replicates, undefined);
});

Deno.test("withReplicates() pools the deviation: an entry of equal replicates is as wide as the others", () => {
  const exact = sampleEvidence({ interval: [20, 20], speedupInterval: [1.5, 1.5] });
  const results = sampleResults([[132, 1024], [132, 2048]], SAMPLE_CONFIG, exact);
  const recorded = withReplicates(results, [entry(1024, 1), entry(2048, 1.01)]).results;
  const [a, b] = CONTEXTS.map((contextLen) => at(recorded, contextLen).speedupInterval);
  near(a[1] / a[0], b[1] / b[0]);
  ok(a[0] < 1.5 && 1.5 < a[1]);
});

Deno.test("withReplicates() leaves what is wrong, failed, cannot run or is stale as it was", () => {
  const { measured: _, ...unmeasured } = entry(1024, 1);
  for (
    const one of [
      entry(1024, 1, { stale: true }),
      entry(1024, 1, { finding: "wrong" }),
      entry(1024, 1, { finding: "failed" }),
      { ...unmeasured, finding: "cannot run" as const },
    ]
  ) {
    const { results, sizes } = withReplicates(RESULTS, [one]);
    deepStrictEqual([results, sizes], [RESULTS, []], one.finding);
  }
  const { results } = withReplicates(RESULTS, [entry(1024, 1.3, { finding: "drifted" })]);
  strictEqual(at(results, 1024).replicates!.length, 2);
  deepStrictEqual(at(results, 2048), at(RESULTS, 2048));
});

Deno.test("withReplicates() names a tuned entry that is no longer beyond doubt, and keeps its config", () => {
  const { results, doubtful } = withReplicates(RESULTS, [entry(1024, 1.4, { finding: "drifted" })]);
  deepStrictEqual(doubtful, [{ smCount: 132, contextLen: 1024 }]);
  ok(at(results, 1024).speedupInterval[0] <= 1);
  strictEqual(at(results, 1024).chosen, "tuned");
  deepStrictEqual(results.configs, RESULTS.configs);
});

Deno.test("recordText() names such an entry, and says by how much processes differ", () => {
  const recorded = withReplicates(RESULTS, [entry(1024, 1.4, { finding: "drifted" })]);
  const text = recordText(recorded, 2);
  match(text, /^132 SMs, context 1024: no longer faster beyond doubt: 1.27× \[0.\d\d, \d+.\d\d\]; the config stays\n/);
  match(text, /\nRecorded 1 of 2 entries: processes differ by 23.\d\d % in the speed-up and by 23.\d\d % in the time$/);
  strictEqual(recordText(withReplicates(RESULTS, []), 2), "Recorded 0 of 2 entries");
});

Deno.test("withReplicates() names an entry whose processes differ by far more than the others'", () => {
  const contexts = [1024, 2048, 4096, 8192];
  const results = sampleResults(
    contexts.map((contextLen) => [132, contextLen]),
    SAMPLE_CONFIG,
    sampleEvidence({ interval: [20, 20], speedupInterval: [1.5, 1.5] }),
  );
  const factors = [1.002, 0.997, 1.13, 1.004];
  const recorded = withReplicates(results, contexts.map((contextLen, i) => entry(contextLen, factors[i])));
  deepStrictEqual(recorded.apart.map(({ contextLen }) => contextLen), [4096]);
  near(recorded.apart[0].deviation, Math.log(1.13) / Math.SQRT2);
  match(
    recordText(recorded, 4),
    /^132 SMs, context 4096: its processes differ by 8.64 %, which widens every interval of /,
  );
});

Deno.test("withReplicates() widens and narrows a file's intervals by the device's other files, and says how many", () => {
  const exact = sampleEvidence({ interval: [20, 20], speedupInterval: [1.5, 1.5] });
  const results = sampleResults([[132, 1024], [132, 2048]], SAMPLE_CONFIG, exact);
  const recorded = (factor: number, others: Results[] = []) =>
    withReplicates(results, CONTEXTS.map((contextLen) => entry(contextLen, factor)), others);
  const width = ({ results }: { results: Results }) => {
    const [low, high] = at(results, 1024).speedupInterval;
    return high / low;
  };
  const [calm, wild] = [recorded(1).results, recorded(1.05).results];
  const moved = recorded(1.001, [results, wild, wild]); // One process measured `results`: it has no say.
  strictEqual(moved.others, 2);
  ok(width(moved) > 2 * width(recorded(1.001)) - 1);
  ok(width(recorded(1.05, [calm, calm, calm])) < width(recorded(1.05, [wild])));
  strictEqual(moved.speedup!.degrees, 2, "what is said of the file is its own");
  match(recordText(moved, 2), /in the time, and intervals go by 2 other files of the device, too$/);
  strictEqual(recorded(1.001).others, 0);
});

Deno.test("withReplicates() keeps a baseline's speed-up at 1, and asks it nothing about speed-ups", () => {
  const { baselineConfig } = sampleEvidence();
  const evidence = sampleEvidence({ chosen: "baseline", speedup: 1, speedupInterval: [1, 1] });
  const baseline = sampleResults([[132, 1024]], baselineConfig, evidence);
  const { results, us, speedup, doubtful } = withReplicates(baseline, [entry(1024, 1.02)]);
  deepStrictEqual([at(results, 1024).speedup, at(results, 1024).speedupInterval], [1, [1, 1]]);
  deepStrictEqual([us!.degrees, speedup, doubtful], [1, undefined, []]);
});

Deno.test("withReplicates() keeps the first and the newest of 64 replicates", () => {
  let results = RESULTS;
  for (let i = 1; i <= 70; i++) ({ results } = withReplicates(results, [entry(1024, 1 + i / 1000)]));
  const { replicates } = at(parseResults(stringifyResults(results)), 1024);
  strictEqual(replicates!.length, 64);
  near(replicates![0].us, 20);
  near(replicates![1].us, 20 * 1.008);
  near(replicates![63].us, 20 * 1.07);
});

Deno.test(
  "recordInto() writes the file and the indexes of its registry, and refuses a file that changed meanwhile",
  inFolder(async (folder) => {
    const path = `${folder}/${resultsPath(RESULTS)}`;
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeTextFileSync(path, stringifyResults(RESULTS));
    await writeIndexes(folder);
    const index = () => Deno.readTextFileSync(`${folder}/${INDEX_NAME}`);
    const before = index();
    const { results } = await recordInto(path, RESULTS, [entry(1024, 1.01)]);
    deepStrictEqual(parseResults(Deno.readTextFileSync(path)), results);
    ok(index() !== before);
    deepStrictEqual([...Deno.readDirSync(dirname(path))].map(({ name }) => name).sort(), [
      path.split("/").at(-1),
      INDEX_NAME,
    ]);
    const text = Deno.readTextFileSync(path);
    const beside = { ...results, problem: { ...results.problem, heads: 128 } };
    for (const [name, device] of [["a", results.device], ["b", { ...results.device, name: "another" }]] as const) {
      Deno.writeTextFileSync(`${dirname(path)}/${name}.json`, stringifyResults({ ...beside, device }));
    }
    Deno.writeTextFileSync(`${dirname(path)}/c.json`, "{}");
    strictEqual((await recordInto(path, results, [entry(1024, 1.01)])).others, 1);
    Deno.writeTextFileSync(path, text);
    await rejects(
      recordInto(path, RESULTS, [entry(1024, 1.01)]),
      /^FailureError: Cannot record into ".*": it changed while it was measured, expected the file that was verified/,
    );
    strictEqual(Deno.readTextFileSync(path), text);
  }),
);

Deno.test(
  "tune verify --record writes a replicate an entry, and what drifts holds once it is recorded",
  inFolder(async (folder) => {
    const processes = (seed: number): SimulationPlan => ({ noise: 0.001, placement: 0.005, seed });
    const into = ["--results", `${folder}/results`, "--journal", `${folder}/journal.db`, "--json"];
    const sweep = ["sweep", "--contexts", "64,96", "--strategy", "exhaustive", "--budget", "10m", ...into];
    const { path } = JSON.parse((await simulated(sweep, processes(1))).stdout);
    const first = await simulated(["verify", path, "--record"], processes(8));
    strictEqual(first.code, 1, "processes differ by more than one of them says");
    match(
      first.stdout,
      /\nRecorded 2 of 2 entries: processes differ by \d\.\d\d % in the speed-up and by \d\.\d\d % in/,
    );
    const second = await simulated(["verify", path, "--record", "--json"], processes(5));
    strictEqual(second.code, 0, second.stdout);
    const { recorded } = JSON.parse(second.stdout);
    deepStrictEqual([recorded.sizes.length, recorded.speedup.degrees, recorded.doubtful], [2, 4, []]);
    const { evidence } = parseResults(Deno.readTextFileSync(path));
    for (const { replicates } of Object.values(evidence["4"])) strictEqual(replicates!.length, 3);
    strictEqual((await simulated(["verify", path], processes(10))).code, 0);
  }),
);

Deno.test("tune verify --record of a URL is a usage error", async () => {
  const { code, stderr } = await simulated(["verify", "https://example.org/a.json", "--record"]);
  strictEqual(code, 2);
  strictEqual(stderr, 'error: Cannot record into "https://example.org/a.json": expected a file on this machine\n');
});
