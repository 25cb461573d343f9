/** What a sweep in another process has done so far, for tests. */
import { DatabaseSync } from "node:sqlite";

/** A candidate's row as the file has it. */
export interface ObservedRow {
  readonly context: number;
  readonly config_key: string;
  readonly outcome: string;
  readonly message: string | null;
  readonly at: string;
}

/** The rows of the journal in a folder that nobody holds; throws where the file is corrupt. */
export function journalRows(folder: string): ObservedRow[] {
  const db = new DatabaseSync(`${folder}/journal.db`);
  try {
    const { integrity_check } = db.prepare("PRAGMA integrity_check").get()!;
    if (integrity_check !== "ok") throw new Error(`The journal is corrupt: ${integrity_check}`);
    return db.prepare(
      `SELECT json_extract(identity, '$.problem.contextLens[0]') AS context, config_key, outcome, message, at
       FROM candidate JOIN task ON task.key = candidate.task`,
    ).all() as unknown as ObservedRow[];
  } finally {
    db.close();
  }
}

/** The config keys that the worker was asked to try, in order. */
export function tried(log: string): string[] {
  const text = Deno.readTextFileSync(log).trim();
  return text === "" ? [] : text.split("\n");
}

/** Resolves once the worker has been asked to try `count` configs. */
export async function afterTries(log: string, count: number): Promise<void> {
  using watcher = Deno.watchFs(log);
  if (tried(log).length >= count) return;
  for await (const _ of watcher) if (tried(log).length >= count) return;
}
