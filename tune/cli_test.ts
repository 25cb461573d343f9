import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { parseResults } from "../mod.ts";
import { inFolder, simulated } from "./testing/command.ts";

/** A short sweep into a folder. */
const SWEEP = ["sweep", "--contexts", "256", "--strategy", "random", "--budget", "2s"];
const into = (folder: string) => ["--results", `${folder}/results`, "--journal", `${folder}/journal.db`];

/** The one results file below a folder. */
function resultsFile(folder: string): string {
  const found: string[] = [];
  const walk = (path: string) => {
    for (const entry of Deno.readDirSync(path)) {
      if (entry.isDirectory) walk(`${path}/${entry.name}`);
      else found.push(`${path}/${entry.name}`);
    }
  };
  walk(folder);
  strictEqual(found.length, 1, found.join());
  return found[0];
}

Deno.test(
  "tune sweep ends with a table and the path of a results file that parseResults() accepts",
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await simulated([...SWEEP, ...into(folder)]);
    strictEqual(code, 0, stderr);
    match(stdout, /context .*best config .*µs .*GB\/s .*TFLOP\/s .*× baseline/);
    const path = resultsFile(`${folder}/results`);
    ok(stdout.includes(path), stdout);
    const results = parseResults(JSON.parse(Deno.readTextFileSync(path)));
    strictEqual(results.device.name, "Simulated device");
    const evidence = results.evidence["4"]["256"];
    match(evidence.command, /^deno run tune sweep .*--contexts 256 /);
    ok(evidence.speedupInterval[0] > 1 && evidence.chosen === "tuned");
    ok(evidence.noiseFloor! < 0.001 && evidence.seed === 1, "the simulated device is quiet");
  }),
);

Deno.test(
  "tune sweep --json puts one JSON document on stdout and nothing else",
  inFolder(async (folder) => {
    const { code, stdout } = await simulated([...SWEEP, ...into(folder), "--json"]);
    strictEqual(code, 0);
    const document = JSON.parse(stdout);
    strictEqual(document.rows.length, 1);
    strictEqual(document.path, resultsFile(`${folder}/results`));
    ok(document.rows[0].outcomes.ok > 10);
  }),
);

Deno.test(
  "tune sweep --only keeps to the values that it names, and says so in the command that reproduces it",
  inFolder(async (folder) => {
    const only = ["--only", "BLOCK_N=32", "--only", "max_kv_splits=1,2"];
    const { code, stdout } = await simulated([...SWEEP, ...only, ...into(folder), "--json"]);
    strictEqual(code, 0);
    const [row] = JSON.parse(stdout).rows;
    ok(row.exhausted && row.outcomes.ok < 40, `${row.outcomes.ok} candidates`);
    const { evidence } = parseResults(JSON.parse(Deno.readTextFileSync(resultsFile(`${folder}/results`))));
    match(evidence["4"]["256"].command, / --only BLOCK_N=32 --only max_kv_splits=1,2$/);
  }),
);

Deno.test(
  "tune without a command sweeps",
  inFolder(async (folder) => {
    const { code, stdout } = await simulated(["--contexts", "256", "--budget", "1s", ...into(folder)]);
    strictEqual(code, 0);
    match(stdout, /Results: /);
  }),
);

Deno.test("tune --help lists the commands, tune sweep --help the options", async () => {
  const help = await simulated(["--help"]);
  strictEqual(help.code, 0);
  for (const command of ["sweep", "resume", "verify", "compare", "devices", "doctor"]) {
    match(help.stdout, new RegExp(`^  ${command}`, "m"));
  }
  const { stdout } = await simulated(["sweep", "--help"]);
  for (
    const option of [
      "--backend",
      "--device",
      "--heads",
      "--batch",
      "--contexts",
      "--kv-type",
      "--budget",
      "--strategy",
      "--seed",
      "--results",
      "--journal",
      "--max-workspace",
      "--json",
    ]
  ) match(stdout, new RegExp(`^  ${option}\\b`, "m"));
});

Deno.test("tune devices lists devices, and --json gives them as data", async () => {
  match((await simulated(["devices"])).stdout, /webgpu .*Simulated device/);
  const { stdout } = await simulated(["devices", "--json"]);
  deepStrictEqual(JSON.parse(stdout).backends[0].devices[0].smCount, 4);
});

/** Each is a usage error: exit code 2, one line on stderr, nothing on stdout. */
const BAD_INPUT: [name: string, args: (folder: string) => string[], message: RegExp][] = [
  ["an unknown flag", () => ["sweep", "--bugdet", "3s"], /unknown option '--bugdet' \(Did you mean --budget\?\)/],
  ["an unknown command", () => ["sweeep"], /'?sweeep'?/],
  [
    "contexts that are none",
    () => ["sweep", "--contexts", "0,abc"],
    /"0" is no context length, expected whole numbers/,
  ],
  ["too many heads", () => ["sweep", "--heads", "129"], /"129" is out of range, expected a whole number from 1 to 128/],
  ["an unknown backend", () => ["sweep", "--backend", "metal"], /'metal' is invalid.*Allowed choices are webgpu/],
  [
    "an unknown strategy",
    () => ["sweep", "--strategy", "best"],
    /Allowed choices are bayesian, genetic, random, exhaustive/,
  ],
  [
    "results to start from that are not there",
    (folder) => ["sweep", "--json", "--start-from", `${folder}/absent.json`, ...into(folder)],
    /Cannot start from ".*absent.json": .*expected a results file/,
  ],
  [
    "another backend's results to start from",
    (folder) => [
      "sweep",
      "--json",
      "--start-from",
      "results/mla_decode/triton/nvidia-h200/heads16-batch1-fp8_e4m3.json",
      ...into(folder),
    ],
    /Cannot start from ".*": it is of mla_decode on triton, expected mla_decode on webgpu/,
  ],
  ["a narrowing that is none", () => ["sweep", "--only", "BLOCK_N"], /"BLOCK_N" narrows nothing, expected for example/],
  [
    "a value that the space has not",
    (folder) => ["sweep", "--json", "--contexts", "64", "--only", "BLOCK_N=48", ...into(folder)],
    /Cannot narrow the space: BLOCK_N is never "48", expected 8, 16, 32, 64/,
  ],
  ["a budget that is none", () => ["sweep", "--budget", "soon"], /"soon" is no duration, expected for example 90s/],
  [
    "a device that is not there",
    () => ["sweep", "--backend", "webgpu", "--device", "7"],
    /Cannot find device 7 of backend webgpu, expected 0 \(Simulated device, webgpu\)/,
  ],
  [
    "a results folder that cannot be written",
    (folder) => ["sweep", "--results", `${folder}/file/results`, "--journal", `${folder}/j.db`],
    /Cannot write to --results ".*file\/results".*expected a folder that can be written/,
  ],
  [
    "a journal that is none",
    (folder) => ["sweep", "--results", folder, "--journal", `${folder}/file`],
    /Cannot open journal ".*file": it is no journal, expected a file that kvtune wrote/,
  ],
  [
    "a journal to resume that is not there",
    (folder) => ["resume", "--journal", `${folder}/none.db`],
    /Cannot open journal ".*none.db": no such file/,
  ],
];

for (const [name, args, message] of BAD_INPUT) {
  Deno.test(
    `tune answers ${name} with one line that names it, and exit code 2`,
    inFolder(async (folder) => {
      Deno.writeTextFileSync(`${folder}/file`, "no database, but long enough to be read as one\n".repeat(20));
      const { code, stdout, stderr } = await simulated(args(folder));
      match(stderr, message);
      strictEqual(stderr.trim().split("\n").length, 1, stderr);
      strictEqual(code, 2);
      strictEqual(stdout, "");
    }),
  );
}

Deno.test(
  "tune sweep refuses to write over a results file with a wrong field, and names the field",
  inFolder(async (folder) => {
    await simulated([...SWEEP, ...into(folder)]);
    const path = resultsFile(`${folder}/results`);
    const broken = Deno.readTextFileSync(path).replace(/"BLOCK_N": \d+/, '"BLOCK_N": null');
    Deno.writeTextFileSync(path, broken);
    const { code, stderr } = await simulated([...SWEEP, "--contexts", "512", ...into(folder)]);
    match(stderr, /BLOCK_N/);
    ok(stderr.includes(path), stderr);
    strictEqual(stderr.trim().split("\n").length, 1, stderr);
    strictEqual(code, 1);
    strictEqual(Deno.readTextFileSync(path), broken);
  }),
);
