/** A GitHub Actions workflow that runs the plan on a runner with a GPU, and pushes the branch with its results. */
import { dirname, join, relative } from "node:path";
import { stringify } from "yaml";
import { UsageError } from "../../errors.ts";
import { deadlineSeconds, type EmitOptions, GENERATED, refusePlaces } from "./command.ts";

/** The workflow's text: `.github/workflows/kvtune.yml`. */
export function githubWorkflow(options: EmitOptions): string {
  const { plan, planPath, root, timetable: { cron, timezone } } = options;
  refusePlaces("a workflow", options, "it works in the runner's checkout and home folder, and GitHub watches it");
  const failed = (why: string) => new UsageError(`Cannot emit a workflow ${why}`);
  if (timezone !== undefined && timezone !== "UTC") {
    throw failed(`for --timezone "${timezone}": expected UTC, in which GitHub runs its schedules`);
  }
  if (cron.trim().split(/\s+/).length !== 5) {
    throw failed(`for --cron "${cron}": expected five fields, GitHub knows no seconds`);
  }
  const { branch, results } = plan.publish;
  if (branch === undefined) {
    throw failed("for a plan without publish.branch: expected one, or its results go with the runner's checkout");
  }
  const path = relative(root, planPath);
  if (path.startsWith("..")) throw failed(`for the plan "${planPath}": expected one in ${root}`);
  const resultsPath = relative(root, join(dirname(planPath), results));
  const workflow = {
    name: "kvtune",
    on: { schedule: [{ cron }], workflow_dispatch: {} },
    permissions: { contents: "write" },
    concurrency: { group: "kvtune", "cancel-in-progress": false },
    jobs: {
      tune: {
        "runs-on": ["self-hosted", "gpu"],
        "timeout-minutes": Math.ceil(deadlineSeconds(plan) / 60),
        steps: [
          { uses: "actions/checkout@v4" },
          { uses: "denoland/setup-deno@v2", with: { "deno-version": Deno.version.deno } },
          {
            name: "Take what was tuned before",
            run: `if git fetch origin ${branch}:${branch}; then git restore --source ${branch} -- ${resultsPath}; fi\n`,
          },
          {
            name: "Tune what has gone stale",
            run: `deno task schedule --once --plan ${path} --state "$HOME/.kvtune/schedule"\n`,
          },
          { name: "Publish", run: `if git rev-parse --verify ${branch}; then git push origin ${branch}; fi\n` },
        ],
      },
    },
  };
  // "on" unquoted is the boolean true to YAML 1.1 readers, as is any yes, no, on or off.
  return `---\n# ${GENERATED} github-actions\n` + stringify(workflow, { version: "1.1", lineWidth: 0 });
}
