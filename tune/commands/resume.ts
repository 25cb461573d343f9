/** `tune resume`: goes on with the last sweep of a journal. */
import { Command } from "@commander-js/extra-typings";
import type { Backends } from "../backends.ts";
import { UsageError } from "../errors.ts";
import { parseSettings } from "../settings.ts";
import { parseDuration } from "./options.ts";
import { DEFAULT_JOURNAL, openJournal, runSweep } from "./sweep.ts";

/** Adds the command. */
export function resumeCommand(backends: Backends) {
  return new Command("resume")
    .description("go on with the last sweep of a journal, after a stop, a crash or with more time")
    .option("--journal <file>", "the journal of the sweep", DEFAULT_JOURNAL)
    .option("--budget <time>", "time for what is left (default: what the sweep has left, at least 10s)", parseDuration)
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (options) => {
      using journal = openJournal(options.journal, { mustExist: true });
      const run = journal.lastRun();
      if (!run) throw new UsageError(`Cannot resume from "${options.journal}": no sweep was started with it`);
      const settings = parseSettings(run.settings);
      const spent = journal.spentSeconds(run.started);
      const budgetSeconds = options.budget ?? Math.max(10, settings.budgetSeconds - spent);
      await runSweep({ ...settings, budgetSeconds }, backends, journal, { json: options.json, runId: run.id });
    });
}
