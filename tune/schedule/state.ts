/**
 * What a scheduled job remembers from run to run: its history, and when each size was last measured. One SQLite file, which
 * others may read while a run writes.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import type { Size } from "../../results/mod.ts";
import { firstLine, UsageError } from "../errors.ts";
import type { Attempt } from "./stale.ts";

/** "kvts": marks a SQLite file as kvtune's schedule. */
const APPLICATION_ID = 0x6b767473;
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE run (id INTEGER PRIMARY KEY, started TEXT NOT NULL, finished TEXT, outcome TEXT, report TEXT) STRICT;
  CREATE TABLE attempt (
    path TEXT NOT NULL, sm_count INTEGER NOT NULL, context_len INTEGER NOT NULL, date TEXT NOT NULL,
    source_hash TEXT NOT NULL, driver TEXT NOT NULL, toolchain TEXT NOT NULL, kvtune TEXT NOT NULL,
    PRIMARY KEY (path, sm_count, context_len)
  ) STRICT, WITHOUT ROWID;
`;

/** One run of the history. */
export interface PastRun {
  readonly id: number;
  readonly started: string;
  /** Absent where the run goes on, or its process died. */
  readonly finished?: string;
  readonly outcome?: string;
  /** The run's report, as JSON data. */
  readonly report?: unknown;
}

/** An open state file. */
export class ScheduleState implements Disposable {
  #db: DatabaseSync;

  private constructor(db: DatabaseSync, readonly path: string) {
    this.#db = db;
  }

  /** Opens a state file, or makes a new one. */
  static open(path: string): ScheduleState {
    const failed = (why: string) => new UsageError(`Cannot open the schedule's state "${path}": ${why}`);
    let db: DatabaseSync;
    try {
      db = new DatabaseSync(path);
    } catch (error) {
      throw failed(`${firstLine(error)}, expected a file in a folder that can be written`);
    }
    try {
      db.exec("PRAGMA busy_timeout = 2000;");
      const value = (pragma: string) => Object.values(db.prepare(`PRAGMA ${pragma}`).get()!)[0];
      const tables = db.prepare("SELECT count(*) AS n FROM sqlite_master").get()!.n;
      if (tables !== 0 && value("application_id") !== APPLICATION_ID) throw failed("it is another program's database");
      if (tables !== 0 && value("user_version") !== SCHEMA_VERSION) {
        throw failed(`its version is ${value("user_version")}, expected ${SCHEMA_VERSION}`);
      }
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
      if (tables === 0) {
        db.exec(
          `BEGIN EXCLUSIVE; ${SCHEMA} PRAGMA application_id = ${APPLICATION_ID};
           PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`,
        );
      }
    } catch (error) {
      db.close();
      throw error instanceof UsageError ? error : failed(firstLine(error));
    }
    return new ScheduleState(db, path);
  }

  /** Notes that a run begins. */
  startRun(started: Date): number {
    const { lastInsertRowid } = this.#db.prepare("INSERT INTO run (started) VALUES (?)").run(started.toISOString());
    return Number(lastInsertRowid);
  }

  /** Notes how a run ended. */
  finishRun(id: number, outcome: string, report: unknown): void {
    this.#db.prepare("UPDATE run SET finished = ?, outcome = ?, report = ? WHERE id = ?")
      .run(new Date().toISOString(), outcome, JSON.stringify(report), id);
  }

  /** The last runs, the newest first. */
  history(limit: number): PastRun[] {
    return this.#db.prepare("SELECT * FROM run ORDER BY id DESC LIMIT ?").all(limit).map((row) => ({
      id: Number(row.id),
      started: String(row.started),
      ...(row.finished !== null && { finished: String(row.finished) }),
      ...(row.outcome !== null && { outcome: String(row.outcome) }),
      ...(row.report !== null && { report: JSON.parse(String(row.report)) }),
    }));
  }

  /** The last measurement of a size, or undefined. */
  attempt(path: string, { smCount, contextLen }: Size): Attempt | undefined {
    const row = this.#db.prepare("SELECT * FROM attempt WHERE path = ? AND sm_count = ? AND context_len = ?")
      .get(path, smCount, contextLen);
    return row && {
      date: String(row.date),
      sourceHash: String(row.source_hash),
      driver: String(row.driver),
      toolchain: String(row.toolchain),
      kvtune: String(row.kvtune),
    };
  }

  /** Records a measurement of a size, in place of the one before. */
  setAttempt(path: string, { smCount, contextLen }: Size, attempt: Attempt): void {
    const { date, sourceHash, driver, toolchain, kvtune } = attempt;
    this.#db.prepare("INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .run(path, smCount, contextLen, date, sourceHash, driver, toolchain, kvtune);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
