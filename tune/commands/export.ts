/** `tune export`: what was measured, in the form that others take. */
import { Command, Option } from "@commander-js/extra-typings";
import { exportJournal, JOURNAL_FORMATS } from "../replay/export.ts";
import { callerPath } from "./options.ts";
import { DEFAULT_JOURNAL } from "./sweep.ts";

/** Adds the command. */
export function exportCommand() {
  return new Command("export")
    .description("write what a journal recorded in the form that others take")
    .addOption(
      new Option("--format <name>", "t4: auto-tuners' common JSON; recording: a space to replay, compressed")
        .choices(JOURNAL_FORMATS).makeOptionMandatory(),
    )
    .option("--journal <file>", "what to export", DEFAULT_JOURNAL)
    .option("--task <text>", "of a journal with several tasks: the one whose name contains this text", "")
    .option("--output <file>", "where to write (default: stdout)")
    .action(async ({ format, journal, task, output }) => {
      await exportJournal({
        format,
        journal: journal === DEFAULT_JOURNAL ? journal : callerPath(journal),
        task,
        ...(output !== undefined && { output: callerPath(output) }),
      });
    });
}
