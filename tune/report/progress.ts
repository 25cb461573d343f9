/** Live progress of a sweep. The only module that knows the task-list library. */
import { Listr, type ListrTaskWrapper } from "listr2";
import type { PlannedTask, SweepObserver } from "../sweep.ts";
import type { TaskProgress } from "../task.ts";
import { clockText, configText } from "./format.ts";

// deno-lint-ignore no-explicit-any -- the library's renderer types say nothing that matters here
type Shown = ListrTaskWrapper<unknown, any, any>;

interface Line {
  readonly ended: PromiseWithResolvers<string>;
  shown?: Shown;
  /** What the line last said, for the moment when its task is shown. */
  output?: string;
}

/** An observer that shows each task as a line, with what is done, what is left and the best so far. */
export function progressObserver(): SweepObserver & { close(): Promise<void> } {
  const lines = new Map<PlannedTask, Line>();
  let list: Promise<unknown> | undefined;
  return {
    started(device, tasks) {
      for (const task of tasks) lines.set(task, { ended: Promise.withResolvers() });
      const listed = tasks.map((task) => ({
        title: title(task),
        task: async (_: unknown, shown: Shown) => {
          const line = lines.get(task)!;
          line.shown = shown;
          if (line.output) shown.output = line.output;
          shown.title = `${title(task)}: ${await line.ended.promise}`;
        },
      }));
      console.log(`Sweeping on ${device.name} (${device.backend}, ${device.smCount} ${unit(device)})`);
      list = new Listr(listed, {
        concurrent: false,
        exitOnError: false,
        registerSignalListeners: false, // The sweep ends by itself on Ctrl-C and keeps what it has.
        fallbackRenderer: "simple",
        fallbackRendererCondition: () => !Deno.stdout.isTerminal(),
      }).run().catch(() => {});
    },
    progress(task, progress, secondsLeft) {
      const line = lines.get(task)!;
      line.output = progressText(progress, secondsLeft);
      // A line a candidate is a flood where nothing is redrawn.
      if (line.shown && (Deno.stdout.isTerminal() || progress.done % 25 === 0)) line.shown.output = line.output;
    },
    taskEnded(task, row) {
      const verdict = row.report?.verdict;
      lines.get(task)!.ended.resolve(
        verdict
          ? `${configText(verdict.config)}, ${verdict.speedup.toFixed(2)} × the baseline, ${
            row.report!.candidates.size
          } tried`
          : `failed: ${row.error}`,
      );
    },
    async close() {
      for (const { ended } of lines.values()) ended.resolve("stopped");
      await list;
    },
  };
}

function title({ contextLen, smCount }: PlannedTask): string {
  return `context ${contextLen}${smCount === undefined ? "" : ` on ${smCount} SMs`}`;
}

function unit({ software }: { software: boolean }): string {
  return software ? "threads" : "SMs";
}

function progressText({ stage, done, left, best }: TaskProgress, secondsLeft: number): string {
  const parts = [stage === "race" ? `racing the best of ${done}` : `${done} done`];
  if (stage === "search" && left !== undefined) parts.push(`${left} left`);
  if (best) parts.push(`best ${best.speedup.toFixed(2)} × (${configText(best.config)})`);
  parts.push(`${clockText(secondsLeft)} left`);
  return parts.join(", ");
}
