import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert";
import { parse, parseAllDocuments } from "yaml";
import { parsePlanText } from "../../plan/plan.ts";
import { inFolder, simulated } from "../../testing/command.ts";
import { type EmitKind, type EmitOptions, SCHEDULE_COMMAND } from "./command.ts";
import { emit } from "./emit.ts";

const PLAN = `# shown to people
version: 1
tune: [{ kernel: mla_decode, problems: [{ heads: 16 }], contexts: [1k], devices: [{ backend: cuda }] }]
budget: { run: 1h, problem: 10m }
`;
const BRANCH = PLAN + "publish: { branch: tuned }\n";
const ROOT = new URL("../../../", import.meta.url).pathname.slice(0, -1);

function emitted(kind: EmitKind, planText: string, changes: Partial<EmitOptions> = {}): string {
  return emit(kind, {
    plan: parsePlanText(planText, "plan.yaml"),
    planPath: `${ROOT}/plan.yaml`,
    planText,
    timetable: { cron: "0 3 * * 0", timezone: "UTC" },
    root: ROOT,
    deno: Deno.execPath(),
    user: "root",
    image: "kvtune:test",
    places: {},
    ...changes,
  });
}

function found(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const verifier = found("systemd-analyze");
if (!verifier) console.warn("SKIPPED: the systemd unit is not verified, since systemd-analyze is not installed");

Deno.test({
  name: "emit() makes a systemd unit that systemd-analyze verifies, whatever its paths have in them",
  ignore: !verifier,
  fn: inFolder(async (folder) => {
    const unit = emitted("systemd", PLAN, { planPath: `${folder}/a plan $HOME 100%.yaml` });
    Deno.writeTextFileSync(`${folder}/kvtune.service`, unit);
    const { success, stderr } = await new Deno.Command("systemd-analyze", {
      args: ["verify", "--man=no", `${folder}/kvtune.service`],
    }).output();
    const said = new TextDecoder().decode(stderr);
    ok(success && !said.includes("kvtune.service"), said);
  }),
});

Deno.test("emit() makes a systemd unit that runs what the task runs, and lets a candidate end", () => {
  const unit = emitted("systemd", PLAN);
  const line = unit.split("\n").find((line) => line.startsWith("ExecStart="))!;
  ok(line.includes(SCHEDULE_COMMAND.slice(1).join(" ")), line);
  match(line, / --cron "0 3 \* \* 0" --timezone UTC$/);
  match(unit, /^KillMode=mixed$/m);
});

Deno.test("emit() passes folders and the port on to a unit of this host, and to no other", () => {
  const places = { results: "/srv/tuned results", state: "/var/lib/kvtune", healthz: "0.0.0.0:9090" };
  const [line] = emitted("systemd", PLAN, { places }).match(/^ExecStart=.*$/m)!;
  match(line, / --results "\/srv\/tuned results" --state \/var\/lib\/kvtune --healthz 0\.0\.0\.0:9090$/);
  throws(() => emitted("kubernetes", PLAN, { places }), /for --results "\/srv\/tuned results": expected none/);
  throws(
    () => emitted("github-actions", BRANCH, { places: { healthz: "9090" } }),
    /for --healthz "9090": expected none/,
  );
});

Deno.test("emit() makes a Kubernetes CronJob with its plan and its volume, one run at a time", () => {
  const [config, claim, job] = parseAllDocuments(emitted("kubernetes", PLAN)).map((document) => document.toJS());
  strictEqual(config.data["plan.yaml"], PLAN);
  strictEqual(claim.kind, "PersistentVolumeClaim");
  deepStrictEqual([job.spec.schedule, job.spec.timeZone, job.spec.concurrencyPolicy], ["0 3 * * 0", "UTC", "Forbid"]);
  const { activeDeadlineSeconds, template: { spec: { containers: [container] } } } = job.spec.jobTemplate.spec;
  ok(activeDeadlineSeconds > 3600 + 600);
  deepStrictEqual(container.command.slice(0, SCHEDULE_COMMAND.length), [...SCHEDULE_COMMAND]);
  deepStrictEqual([container.image, container.resources.limits["nvidia.com/gpu"]], ["kvtune:test", 1]);
});

Deno.test("emit() makes a GitHub workflow that runs the task and pushes the branch", () => {
  const workflow = parse(emitted("github-actions", BRANCH));
  deepStrictEqual(workflow.on.schedule, [{ cron: "0 3 * * 0" }]);
  const runs = workflow.jobs.tune.steps.map(({ run = "" }) => run).join("");
  match(runs, /deno task schedule --once --plan plan\.yaml --state /);
  match(runs, /git push origin tuned;/);
  match(runs, /git restore --source tuned -- results;/);
});

Deno.test("emit() refuses what another scheduler cannot do, and says what it can", () => {
  const seconds = { timetable: { cron: "0 0 3 * * 0" } };
  throws(() => emitted("kubernetes", PLAN, seconds), /Kubernetes knows no seconds/);
  throws(() => emitted("kubernetes", BRANCH), /its results go to a volume, which is no repository/);
  throws(() => emitted("github-actions", BRANCH, seconds), /GitHub knows no seconds/);
  throws(
    () => emitted("github-actions", BRANCH, { timetable: { cron: "0 3 * * 0", timezone: "Europe/Berlin" } }),
    /for --timezone "Europe\/Berlin": expected UTC/,
  );
  throws(() => emitted("github-actions", PLAN), /for a plan without publish\.branch: expected one/);
  throws(() => emitted("github-actions", BRANCH, { planPath: "/elsewhere/plan.yaml" }), /expected one in/);
});

const EXAMPLE = `${ROOT}/tune/plan/example.yaml`;

/** Each is a usage error: exit code 2, one line on stderr, nothing on stdout. */
const BAD: [name: string, args: string[], message: RegExp][] = [
  ["no plan", ["--once"], /Cannot schedule without --plan: expected the path of a plan file/],
  ["neither --once nor --cron", ["--plan", EXAMPLE], /Cannot schedule without --cron: expected .*or --once/],
  ["both of them", ["--plan", EXAMPLE, "--once", "--cron", "* * * * *"], /Cannot combine --once with --cron/],
  [
    "a plan that is not there",
    ["--plan", "/none.yaml", "--once"],
    /Cannot read plan "\/none.yaml": .*expected a YAML file/,
  ],
  ["a port that is none", ["--healthz", "x"], /"x" is no place to listen, expected for example 9090/],
  [
    "a port without the permission to listen",
    ["--plan", EXAMPLE, "--cron", "* * * * *", "--healthz", "9090"],
    /Cannot serve --healthz 127.0.0.1:9090 without the permission to: expected "deno task schedule"/,
  ],
];

for (const [name, args, message] of BAD) {
  Deno.test(`tune schedule answers ${name} with one line, and exit code 2`, async () => {
    const { code, stderr } = await simulated(["schedule", ...args]);
    match(stderr, message);
    strictEqual(stderr.trim().split("\n").length, 1, stderr);
    strictEqual(code, 2);
  });
}
