/**
 * The journal: one SQLite file with a row for each candidate that was tried. It is the truth; results files are a view of
 * it. A row is committed before the next candidate starts, so that a killed tuner loses only what it was measuring.
 *
 * @module
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { existsSync } from "node:fs";
import { sha256 } from "../kernels/sha256.ts";
import type { Config, ParamValue } from "../kernels/space.ts";
import { configKey } from "../kernels/space.ts";
import { FailureError, firstLine, UsageError } from "./errors.ts";
import type { Outcome } from "./worker/protocol.ts";

/** "kvtn": marks a SQLite file as a journal of kvtune. */
const APPLICATION_ID = 0x6b76746e;
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE run (id INTEGER PRIMARY KEY, started TEXT NOT NULL, finished TEXT, settings TEXT NOT NULL) STRICT;
  CREATE TABLE task (key TEXT PRIMARY KEY, identity TEXT NOT NULL) STRICT;
  CREATE TABLE candidate (
    task TEXT NOT NULL REFERENCES task, config_key TEXT NOT NULL, config TEXT NOT NULL, outcome TEXT NOT NULL,
    message TEXT, cost REAL, samples TEXT NOT NULL, baseline_samples TEXT NOT NULL, rel_error REAL, errors TEXT NOT NULL,
    compile_ms REAL, build TEXT NOT NULL, workspace_bytes INTEGER NOT NULL, spent_ms REAL NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (task, config_key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE verdict (task TEXT PRIMARY KEY REFERENCES task, verdict TEXT NOT NULL, at TEXT NOT NULL) STRICT;
`;

/** One problem on one device: what a candidate belongs to. Equal identities share their rows. */
export interface TaskIdentity {
  readonly kernel: string;
  /** SHA-256 of the kernel's sources on this backend. */
  readonly sourceHash: string;
  readonly backend: string;
  readonly device: { readonly name: string; readonly arch: string; readonly driver: string; readonly smCount: number };
  readonly problem: unknown;
  readonly seed: number;
  readonly coldCache: boolean;
}

/** One candidate and what became of it. */
export interface CandidateRow {
  readonly config: Config;
  readonly outcome: Outcome;
  readonly message?: string;
  /** Time as a share of the baseline's in the same rounds. */
  readonly cost?: number;
  /** µs, a round each. */
  readonly samples: readonly number[];
  /** µs of the baseline in the same rounds. */
  readonly baselineSamples: readonly number[];
  readonly relError?: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly compileMs?: number;
  readonly build: Readonly<Record<string, number>>;
  readonly workspaceBytes: number;
  /** Wall-clock time that the candidate took in all. */
  readonly spentMs: number;
}

/** A run of the tuner that can be resumed. */
export interface RunRow {
  readonly id: number;
  readonly started: string;
  readonly finished?: string;
  /** The settings that started it, as JSON data. */
  readonly settings: unknown;
}

/** An open journal. One process at a time holds it. */
export class Journal implements Disposable {
  #db: DatabaseSync;

  private constructor(db: DatabaseSync, readonly path: string) {
    this.#db = db;
  }

  /**
   * Opens a journal, or makes a new one where the file does not exist.
   *
   * @throws {UsageError} Where the file is no journal, is of another version, or another process holds it.
   */
  static open(path: string, { mustExist = false }: { mustExist?: boolean } = {}): Journal {
    const failed = (why: string) => new UsageError(`Cannot open journal "${path}": ${why}`);
    if (mustExist && !existsSync(path)) throw failed("no such file, expected the journal of an earlier sweep");
    let db: DatabaseSync;
    try {
      db = new DatabaseSync(path);
    } catch (error) {
      throw failed(`${firstLine(error)}, expected a file in a folder that can be written`);
    }
    try {
      db.exec("PRAGMA busy_timeout = 200; PRAGMA locking_mode = EXCLUSIVE;");
      const value = (pragma: string) => Object.values(db.prepare(`PRAGMA ${pragma}`).get()!)[0];
      const [application, version] = [value("application_id"), value("user_version")];
      const tables = db.prepare("SELECT count(*) AS n FROM sqlite_master").get()!.n;
      if (application !== APPLICATION_ID && tables !== 0) throw failed("it is another program's database");
      if (application === APPLICATION_ID && version !== SCHEMA_VERSION) {
        throw failed(`its version is ${version}, expected ${SCHEMA_VERSION}`);
      }
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;");
      if (tables === 0) {
        db.exec(
          `BEGIN EXCLUSIVE; ${SCHEMA} PRAGMA application_id = ${APPLICATION_ID};
           PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`,
        );
      } else db.exec("BEGIN EXCLUSIVE; COMMIT;"); // Takes the lock now rather than at the first row.
    } catch (error) {
      db.close();
      if (error instanceof UsageError) throw error;
      const text = firstLine(error);
      if (/locked|busy/.test(text)) throw failed("another kvtune process has it open");
      if (/not a database|malformed/.test(text)) throw failed("it is no journal, expected a file that kvtune wrote");
      throw failed(text);
    }
    return new Journal(db, path);
  }

  /** Records the start of a run. */
  startRun(settings: unknown): number {
    return Number(
      this.#db.prepare("INSERT INTO run (started, settings) VALUES (?, ?)")
        .run(new Date().toISOString(), JSON.stringify(settings)).lastInsertRowid,
    );
  }

  /** Records that a run did all that its budget allowed. */
  finishRun(id: number): void {
    this.#db.prepare("UPDATE run SET finished = ? WHERE id = ?").run(new Date().toISOString(), id);
  }

  /** The newest run, or undefined in a new journal. */
  lastRun(): RunRow | undefined {
    const row = this.#db.prepare("SELECT * FROM run ORDER BY id DESC LIMIT 1").get();
    return row && {
      id: Number(row.id),
      started: String(row.started),
      ...(row.finished !== null && { finished: String(row.finished) }),
      settings: JSON.parse(String(row.settings)),
    };
  }

  /** Seconds that candidates took since `started`, an ISO date: what a run has spent of its budget. */
  spentSeconds(started: string): number {
    const row = this.#db.prepare("SELECT total(spent_ms) AS ms FROM candidate WHERE at >= ?").get(started)!;
    return Number(row.ms) / 1000;
  }

  /** Every task, in the order of their keys. */
  tasks(): { readonly key: string; readonly identity: TaskIdentity }[] {
    return this.#db.prepare("SELECT * FROM task ORDER BY key").all()
      .map((row) => ({ key: String(row.key), identity: JSON.parse(String(row.identity)) as TaskIdentity }));
  }

  /** Every candidate of a task that has a row, by config key. */
  candidates(task: string): Map<string, CandidateRow> {
    const rows = this.#db.prepare("SELECT * FROM candidate WHERE task = ? ORDER BY at").all(task);
    return new Map(rows.map((row) => [String(row.config_key), readCandidate(row)]));
  }

  /** Adds a task where it is new, and a candidate's row. */
  addCandidate(taskKey: string, identity: TaskIdentity, row: CandidateRow): void {
    this.#inTransaction(() => {
      this.#addTask(taskKey, identity);
      this.#db.prepare(`INSERT INTO candidate VALUES (${new Array(15).fill("?").join(", ")})`).run(
        ...[
          taskKey,
          configKey(row.config),
          JSON.stringify(row.config),
          row.outcome,
          row.message ?? null,
          row.cost ?? null,
          JSON.stringify(row.samples),
          JSON.stringify(row.baselineSamples),
          finiteOrNull(row.relError),
          JSON.stringify(row.errors),
          row.compileMs ?? null,
          JSON.stringify(row.build),
          row.workspaceBytes,
          row.spentMs,
          new Date().toISOString(),
        ] satisfies SQLInputValue[],
      );
    });
  }

  /** The recorded verdict of a task's final race, or undefined. */
  verdict(task: string): unknown {
    const row = this.#db.prepare("SELECT verdict FROM verdict WHERE task = ?").get(task);
    return row && JSON.parse(String(row.verdict));
  }

  /** Records a task's verdict, in place of an earlier one. */
  setVerdict(taskKey: string, identity: TaskIdentity, verdict: unknown): void {
    this.#inTransaction(() => {
      this.#addTask(taskKey, identity);
      this.#db.prepare("INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)")
        .run(taskKey, JSON.stringify(verdict), new Date().toISOString());
    });
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  #addTask(key: string, identity: TaskIdentity): void {
    this.#db.prepare("INSERT OR IGNORE INTO task VALUES (?, ?)").run(key, JSON.stringify(identity));
  }

  #inTransaction(work: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#db.exec("COMMIT");
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw new FailureError(`Cannot write journal "${this.path}": ${firstLine(error)}`);
    }
  }
}

/** The key of a task's rows: a SHA-256 of its identity. */
export function taskKey(identity: TaskIdentity): Promise<string> {
  return sha256(JSON.stringify(identity, sortedFields));
}

function sortedFields(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function readCandidate(row: Record<string, unknown>): CandidateRow {
  const optional = <K extends string>(name: K, value: unknown) => value === null ? {} : { [name]: value };
  return {
    config: JSON.parse(String(row.config)) as Record<string, ParamValue>,
    outcome: row.outcome as Outcome,
    ...optional("message", row.message),
    ...optional("cost", row.cost),
    samples: JSON.parse(String(row.samples)),
    baselineSamples: JSON.parse(String(row.baseline_samples)),
    ...optional("relError", row.rel_error),
    errors: JSON.parse(String(row.errors)),
    ...optional("compileMs", row.compile_ms),
    build: JSON.parse(String(row.build)),
    workspaceBytes: Number(row.workspace_bytes),
    spentMs: Number(row.spent_ms),
  };
}

function finiteOrNull(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
