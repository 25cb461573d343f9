/**
 * A job's journal in Redis: each candidate's row as it was measured, so that who takes over a dead worker's job goes on
 * where that one was.
 *
 * @module
 */
import { z } from "zod";
import { configKey, parseConfig, type Space } from "../../kernels/space.ts";
import type { CandidateRow } from "../journal.ts";
import { OUTCOMES } from "../worker/protocol.ts";
import type { Redis } from "./redis.ts";

const RETRY_MS = 500;
const KEPT_SECONDS = 7 * 86_400;
const MAX_ROWS = 20_000;
const MAX_ROW_LENGTH = 2 ** 16;
const MAX_MESSAGE = 4000;

const number = z.number();
const times = z.array(number.positive()).max(10_000);
const entrySchema = z.strictObject({
  task: z.string().regex(/^[0-9a-f]{64}$/),
  row: z.strictObject({
    config: z.record(z.string(), z.unknown()),
    outcome: z.enum(OUTCOMES),
    message: z.string().max(MAX_MESSAGE).optional(),
    cost: number.positive().optional(),
    samples: times,
    baselineSamples: times,
    relError: number.nullish().transform((value) => value ?? undefined),
    errors: z.record(z.string(), number.nullable()).transform((errors) =>
      Object.fromEntries(Object.entries(errors).filter((entry): entry is [string, number] => entry[1] !== null))
    ),
    compileMs: number.optional(),
    build: z.record(z.string(), number),
    workspaceBytes: z.int().min(0),
    spentMs: number.min(0),
  }),
});

/** Uploads rows in the order they came, several at once where Redis is slow or away. */
export class JournalUpload {
  #waiting: string[] = [];
  #sending: Promise<void> = Promise.resolve();

  constructor(readonly redis: Redis, readonly key: string, readonly task: string) {}

  /** Takes a row; returns before it is sent. */
  add(row: CandidateRow): void {
    this.#waiting.push(
      JSON.stringify({ task: this.task, row: { ...row, message: row.message?.slice(0, MAX_MESSAGE) } }),
    );
    if (this.#waiting.length === 1) this.#sending = this.#sending.then(() => this.#send());
  }

  /** Resolves once all rows are in Redis. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  async #send(): Promise<void> {
    // A connection that was lost in the middle of it takes the command with it; rows that come twice do no harm.
    while (this.#waiting.length > 0 && this.redis.status !== "end") {
      const rows = this.#waiting;
      this.#waiting = [];
      try {
        await this.redis.multi().rpush(this.key, ...rows).expire(this.key, KEPT_SECONDS).exec();
      } catch {
        this.#waiting.unshift(...rows);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}

/**
 * The rows of a task that were uploaded, each config once, read as a stranger's: a row that is malformed, of another task,
 * or whose config the space has not is passed over.
 *
 * @param task The key of the task in this process: of the same sources, device, driver and problem.
 */
export async function uploadedRows(redis: Redis, key: string, task: string, space: Space): Promise<CandidateRow[]> {
  const rows = new Map<string, CandidateRow>();
  for (const text of await redis.lrange(key, 0, MAX_ROWS - 1)) {
    if (text.length > MAX_ROW_LENGTH) continue;
    try {
      const entry = entrySchema.parse(JSON.parse(text));
      if (entry.task !== task) continue;
      const config = parseConfig(space, entry.row.config);
      rows.set(configKey(config), { ...entry.row, config });
    } catch { // Passed over: it costs one measurement.
    }
  }
  return [...rows.values()];
}
