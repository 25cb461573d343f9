/** What every command prints: its help, its table, its JSON and an error, as users and programs see it. */
import { deepStrictEqual, strictEqual } from "node:assert";
import { stringifyResults } from "../results/mod.ts";
import { sampleEvidence, sampleResults } from "../results/testing/samples.ts";
import { inFolder, type Ran, simulated } from "./testing/command.ts";
import { matchesSnapshot, shapeOf } from "./testing/snapshot.ts";

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  /** Takes out what differs from machine to machine. */
  readonly stable?: (ran: Ran) => Ran;
}

const asItIs = (ran: Ran): Ran => ran;
const help = (command: string): Case => ({ name: "help", args: [command, "--help"] });

const SWEEP = [
  ...["sweep", "--contexts", "256", "--only", "BLOCK_N=32", "--only", "num_stages=1", "--only", "max_kv_splits=1,2"],
  ...["--budget", "60s", "--results", "tuned", "--journal", "journal.db"],
];

/** A sweep's times depend on how it measures: its columns and fields are what others rely on. */
const withoutProgress = (ran: Ran): Ran => ({
  ...ran,
  stdout: ran.stdout.slice(ran.stdout.lastIndexOf("Simulated device (")).replaceAll(/[0-9.]+/g, "0").replaceAll(
    / +|─+/g,
    " ",
  ),
  stderr: "",
});
const shape = (ran: Ran): Ran => ({ ...ran, stdout: `${JSON.stringify(shapeOf(JSON.parse(ran.stdout)), null, 2)}\n` });

/** What is installed here is no matter of ours. */
const anyMachine = (ran: Ran): Ran => ({
  ...ran,
  stdout: ran.stdout.replaceAll(/^ +mend: .*\n/gm, "").replaceAll(
    /^(?:ok|missing) +(.*?): .*$/gm,
    "(ok or missing) $1: …",
  ),
});
const firstOnly = (ran: Ran): Ran => shape({ ...ran, stdout: JSON.stringify(JSON.parse(ran.stdout).slice(0, 1)) });

const CASES: Readonly<Record<string, readonly Case[]>> = {
  tune: [
    { name: "help", args: ["--help"] },
    { name: "error", args: ["sweeep"] },
  ],
  sweep: [
    help("sweep"),
    { name: "table", args: SWEEP, stable: withoutProgress },
    { name: "json", args: [...SWEEP, "--json"], stable: shape },
    { name: "error", args: ["sweep", "--contexts", "0"] },
  ],
  resume: [
    help("resume"),
    { name: "error", args: ["resume", "--journal", "none.db"] },
    { name: "setup", args: SWEEP, stable: withoutProgress },
    { name: "table", args: ["resume", "--journal", "journal.db"], stable: withoutProgress },
    { name: "json", args: ["resume", "--journal", "journal.db", "--json"], stable: shape },
  ],
  devices: [
    help("devices"),
    { name: "table", args: ["devices"] },
    { name: "json", args: ["devices", "--json"] },
    { name: "error", args: ["devices", "--jsno"] },
  ],
  doctor: [
    help("doctor"),
    { name: "table", args: ["doctor"], stable: anyMachine },
    { name: "json", args: ["doctor", "--json"], stable: firstOnly },
    { name: "error", args: ["doctor", "--json", "--fix"] },
  ],
  verify: [
    help("verify"),
    { name: "error-elsewhere", args: ["verify", "a.json"] },
    { name: "error-elsewhere-json", args: ["verify", "a.json", "--json"] },
    { name: "error-missing", args: ["verify", "none.json"] },
  ],
  compare: [
    help("compare"),
    { name: "table", args: ["compare", "a.json", "b.json"] },
    { name: "json", args: ["compare", "a.json", "b.json", "--json"], stable: shape },
    { name: "error-alone", args: ["compare", "a.json"] },
  ],
  patch: [
    help("patch"),
    { name: "error-kernel", args: ["patch", "a.json"] },
    { name: "error-missing", args: ["patch", "none.json"] },
  ],
  replay: [
    help("replay"),
    { name: "error", args: ["replay", "--space", "none.json"] },
    { name: "error-strategy", args: ["replay", "--space", "none.json", "--strategy", "luck"] },
  ],
  schedule: [
    help("schedule"),
    { name: "error", args: ["schedule", "--once", "--plan", "none.yaml"] },
    { name: "error-both", args: ["schedule", "--once", "--cron", "0 3 * * 0", "--plan", "none.yaml"] },
  ],
  fleet: [
    help("fleet"),
    { name: "worker-help", args: ["fleet", "worker", "--help"] },
    { name: "enqueue-help", args: ["fleet", "enqueue", "--help"] },
    { name: "collect-help", args: ["fleet", "collect", "--help"] },
    { name: "status-help", args: ["fleet", "status", "--help"] },
    { name: "drain-help", args: ["fleet", "drain", "--help"] },
    { name: "error", args: ["fleet", "status", "--redis", "http://127.0.0.1"] },
  ],
  show: [
    help("show"),
    { name: "table", args: ["show", "a.json"] },
    { name: "json", args: ["show", "a.json", "--json"] },
    { name: "diff", args: ["show", "a.json", "--diff", "b.json"] },
    { name: "diff-json", args: ["show", "a.json", "--diff", "b.json", "--json"] },
    { name: "error-missing", args: ["show", "none.json"] },
    { name: "error-wrong", args: ["show", "wrong.json"] },
    { name: "error-url", args: ["show", "http://"] },
  ],
  export: [
    help("export"),
    { name: "sglang", args: ["export", "a.json", "--for", "sglang"] },
    { name: "sglang-flags", args: ["export", "a.json", "--for", "sglang", "--contexts", "16k", "--flags-only"] },
    { name: "vllm", args: ["export", "a.json", "--for", "vllm"] },
    { name: "vllm-bf16", args: ["export", "bf16.json", "--for", "vllm"] },
    { name: "env", args: ["export", "a.json", "--for", "env", "--contexts", "2k"] },
    { name: "json", args: ["export", "a.json", "--for", "json", "--contexts", "1k,2k,1000k"] },
    { name: "csv", args: ["export", "a.json", "--for", "csv", "--contexts", "1k,2k,1000k"] },
    { name: "error", args: ["export", "a.json", "--for", "tensorrt"] },
    { name: "error-size", args: ["export", "a.json", "--for", "csv", "--sm-count", "7"] },
    { name: "error-flags", args: ["export", "a.json", "--for", "csv", "--flags-only"] },
  ],
  merge: [
    help("merge"),
    { name: "table", args: ["merge", "a.json", "--results", "registry"] },
    { name: "again", args: ["merge", "a.json", "b.json", "--results", "registry"] },
    { name: "json", args: ["merge", "registry", "--results", "other", "--json"] },
    { name: "error", args: ["merge", "a.json", "wrong.json", "--results", "registry"] },
  ],
  index: [
    help("index"),
    { name: "setup", args: ["merge", "a.json", "--results", "registry"] },
    { name: "error", args: ["index", "--results", "registry", "--check"] },
    { name: "table", args: ["index", "--results", "registry"] },
    { name: "json", args: ["index", "--results", "registry", "--check", "--json"] },
    { name: "error-folder", args: ["index", "--results", "none"] },
  ],
  prune: [
    help("prune"),
    { name: "setup", args: ["merge", "a.json", "--results", "registry"] },
    { name: "dry-run", args: ["prune", "--results", "registry", "--stale", "--dry-run"] },
    { name: "json", args: ["prune", "--results", "registry", "--untuned", "--json"] },
    { name: "table", args: ["prune", "--results", "registry", "--before", "2027-01-01"] },
    { name: "nothing", args: ["prune", "--results", "registry", "--stale"] },
    { name: "error", args: ["prune", "--results", "registry"] },
    { name: "error-date", args: ["prune", "--before", "2026-02-30"] },
  ],
  sign: [
    help("sign"),
    { name: "keys", args: ["sign", "--new-key", "me"] },
    { name: "table", args: ["sign", "a.json", "--key", "me.pem"] },
    { name: "error", args: ["sign", "a.json", "--key", "me.pub.pem"] },
    { name: "error-keys", args: ["sign", "--new-key", "me"] },
    { name: "error-nothing", args: ["sign"] },
  ],
  "verify-signature": [
    help("verify-signature"),
    { name: "setup-keys", args: ["sign", "--new-key", "me"] },
    { name: "setup", args: ["sign", "a.json", "--key", "me.pem"] },
    { name: "table", args: ["verify-signature", "a.json", "--key", "me.pub.pem"] },
    {
      name: "error-other-file",
      args: ["verify-signature", "b.json", "--key", "me.pub.pem", "--signature", "a.json.sig"],
    },
    { name: "error-no-signature", args: ["verify-signature", "b.json", "--key", "me.pub.pem"] },
    {
      name: "error-no-base64",
      args: ["verify-signature", "a.json", "--key", "me.pub.pem", "--signature", "wrong.json"],
    },
    { name: "error-key", args: ["verify-signature", "a.json", "--key", "a.json"] },
  ],
  serve: [
    help("serve"),
    { name: "error-folder", args: ["serve", "--results", "none"] },
    { name: "error-file", args: ["serve", "--results", "a.json"] },
    { name: "error-host", args: ["serve", "--host", "a b"] },
    { name: "error-port", args: ["serve", "--port", "65536"] },
  ],
};

/** The files that the cases name. */
function fixtures(folder: string): void {
  const config = { path: "portable", BLOCK_N: 64, num_stages: 3, max_kv_splits: 33, pdl: true };
  const a = sampleResults([[132, 1024], [132, 16_384]], config);
  const evidence = {
    ...a.evidence,
    "132": { ...a.evidence["132"], "1024": sampleEvidence({ chosen: "baseline", speedup: 1 }) },
  };
  const configs = { "132": { "1024": { ...config, max_kv_splits: 66 } }, "64": { "1024": config } };
  const b = {
    ...a,
    configs,
    evidence: {
      "132": { "1024": sampleEvidence({ us: 15, interval: [14.9, 15.1] }) },
      "64": { "1024": sampleEvidence({ partition: true }) },
    },
  };
  const files = {
    "a.json": stringifyResults({ ...a, evidence }),
    "b.json": stringifyResults(b),
    "bf16.json": stringifyResults({ ...a, problem: { ...a.problem, kvType: "bf16" } }),
    "wrong.json": stringifyResults(a).replace('"BLOCK_N": 64', '"BLOCK_N": 65'),
  };
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${folder}/${name}`, text);
}

for (const [command, cases] of Object.entries(CASES)) {
  Deno.test(
    `tune ${command === "tune" ? "" : `${command} `}prints what its snapshots say`,
    inFolder(async (folder) => {
      fixtures(folder);
      for (const { name, args, stable = asItIs } of cases) {
        const ran = await simulated(args, {}, folder);
        const setUp = name.startsWith("setup");
        strictEqual(ran.code === 0, !name.startsWith("error"), `${command} ${name}: ${ran.stderr}`);
        if (setUp) continue;
        const { code, stdout, stderr } = stable({
          ...ran,
          stdout: ran.stdout.replaceAll(folder, "FOLDER"),
          stderr: ran.stderr.replaceAll(folder, "FOLDER"),
        });
        const text = `$ tune ${args.join(" ")}\nexit code ${code}\n--- stdout\n${stdout}--- stderr\n${stderr}`;
        matchesSnapshot(`${command}-${name}`, text);
      }
    }),
  );
}

Deno.test("every command of tune has its snapshots", async () => {
  const { stdout } = await simulated(["--help"]);
  const commands = [...stdout.slice(stdout.indexOf("Commands:")).matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name);
  deepStrictEqual(commands.filter((name) => name !== "help" && !Object.hasOwn(CASES, name)), []);
});
