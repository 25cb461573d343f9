/**
 * Writes a journal's task in a format for others.
 *
 * @module
 */
import { gzipSync } from "node:zlib";
import { FailureError, firstLine, UsageError } from "../errors.ts";
import { type JournalTask, journalTasks, recordedTask } from "./formats/journal.ts";
import { t4Text } from "./formats/t4.ts";
import { tableText } from "./formats/table.ts";

const WRITERS = {
  t4: (task: JournalTask) => new TextEncoder().encode(t4Text(task.rows)),
  recording: (task: JournalTask) => gzipSync(tableText(recordedTask(task)), { level: 9 }),
} satisfies Record<string, (task: JournalTask) => Uint8Array>;

/** A format's name. */
export type JournalFormat = keyof typeof WRITERS;

/** The formats that a journal can be written in. */
export const JOURNAL_FORMATS = Object.keys(WRITERS) as JournalFormat[];

/** What to write, from where, and where to. */
export interface JournalExport {
  readonly format: JournalFormat;
  readonly journal: string;
  /** A part of the name of the one task that is meant. */
  readonly task: string;
  /** Standard output where absent. */
  readonly output?: string;
}

/**
 * Writes one task of a journal.
 *
 * @throws {UsageError} Where there is no such task, or more than one.
 * @throws {FailureError} Where the output cannot be written.
 */
export async function exportJournal({ format, journal, task, output }: JournalExport): Promise<void> {
  const tasks = journalTasks(journal);
  const meant = tasks.filter(({ name }) => name.includes(task));
  if (meant.length !== 1) {
    const known = tasks.map(({ name }) => `"${name}"`).join(", ") || "a journal with candidates";
    throw new UsageError(`Cannot export task "${task}": ${meant.length} match, expected a part of one of ${known}`);
  }
  const bytes = WRITERS[format](meant[0]);
  if (output === undefined) {
    await new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeTo(Deno.stdout.writable, { preventClose: true });
    return;
  }
  const aside = `${output}.${crypto.randomUUID()}`;
  try {
    await Deno.writeFile(aside, bytes);
    await Deno.rename(aside, output);
  } catch (error) {
    await Deno.remove(aside).catch(() => {});
    throw new FailureError(`Cannot write "${output}": ${firstLine(error)}`);
  }
}
