/**
 * The tuner's side of the protocol: starts worker processes, bounds each phase in time, and turns whatever becomes of a
 * worker into an outcome. A worker that hangs or dies costs the candidate that it was on; the next request gets a new one.
 *
 * @module
 */
import { z } from "zod";
import { firstLine } from "../errors.ts";
import { OUTCOMES, type Phase, PHASES, type Replies, type RequestBody } from "./protocol.ts";
import type { Outcome } from "./protocol.ts";

/** How a backend's worker is started. */
export interface WorkerCommand {
  readonly command: string;
  readonly args: readonly string[];
}

/** Seconds that each phase may take; `time` for each config that is timed. */
export type PhaseLimits = Readonly<Record<Phase, number>>;

/** Generous for honest candidates on slow machines, short beside an hour lost to a hang. */
export const DEFAULT_LIMITS: PhaseLimits = { open: 120, compile: 60, run: 30, check: 60, time: 30 };

/** A request that failed: what became of it, and whether the worker is gone. */
export class WorkerFailure extends Error {
  override readonly name = "WorkerFailure";
  constructor(readonly outcome: Outcome, message: string, readonly workerEnded: boolean) {
    super(message);
  }
}

// Messages come from another process, perhaps in another language: they are checked, not trusted.
const messageSchema = z.union([
  z.object({ id: z.number(), phase: z.enum(PHASES) }),
  z.object({ id: z.number(), ok: z.unknown() }).refine((message) => message.ok !== undefined),
  z.object({
    id: z.number(),
    failure: z.object({ outcome: z.enum(OUTCOMES), message: z.string(), fatal: z.boolean() }),
  }),
]);
const deviceSchema = z.object({
  backend: z.string(),
  index: z.int().min(0),
  name: z.string(),
  arch: z.string(),
  driver: z.string(),
  toolchain: z.string().optional(),
  smCount: z.int().min(1),
  smCountSource: z.enum(["driver", "measured", "threads", "given"]),
  software: z.boolean(),
  limits: z.record(z.string(), z.number()),
  features: z.array(z.string()),
});
// A NaN cannot cross JSON: it arrives as null, and is an error that is not ok.
const errorNumber = z.number().nullable().transform((value) => value ?? NaN);
const REPLIES = {
  list: z.object({ devices: z.array(deviceSchema) }),
  open: z.object({ device: deviceSchema, clock: z.enum(["device", "cpu"]), ahead: z.int().min(0).optional() }),
  try: z.object({
    compileMs: z.number(),
    build: z.record(z.string(), z.number()),
    check: z.object({
      ok: z.boolean(),
      relError: errorNumber,
      errors: z.record(z.string(), errorNumber),
      why: z.string().optional(),
    }),
  }),
  time: z.object({
    samples: z.array(z.array(z.number().positive())),
    readings: z.object({
      values: z.record(z.string(), z.union([z.number(), z.string()])),
      warnings: z.array(z.string()),
    }).optional(),
  }),
  prepare: z.object({ ready: z.array(z.boolean()) }),
  drop: z.object({}),
} satisfies { [Op in keyof Replies]: z.ZodType<Replies[Op]> };

/**
 * The tuner's environment for a worker. Deno hands the dynamic linker's variables to a child only where it may run
 * anything, so they go under another name: the backends search `KVTUNE_LIBRARY_PATH` like `LD_LIBRARY_PATH`.
 */
export function workerEnvironment(
  own: Readonly<Record<string, string>>,
): Pick<Deno.CommandOptions, "clearEnv" | "env"> {
  const kept = Object.entries(own).filter(([name]) => !/^(LD|DYLD)_/.test(name));
  const folders = [own.KVTUNE_LIBRARY_PATH, own.LD_LIBRARY_PATH].filter((path) => path);
  return {
    clearEnv: true,
    env: { ...Object.fromEntries(kept), ...(folders.length > 0 && { KVTUNE_LIBRARY_PATH: folders.join(":") }) },
  };
}

/** A worker as the tuner uses it. Requests are answered in order. */
export interface Worker {
  /** False once it has ended or was killed. */
  readonly alive: boolean;
  /**
   * Sends a request and awaits its reply.
   *
   * @throws {WorkerFailure} With the outcome of whatever went wrong.
   */
  request<Op extends keyof Replies>(body: RequestBody & { op: Op }): Promise<Replies[Op]>;
  /** Ends it at once. What is pending fails as a crash. */
  kill(): void;
  /** Lets it end by itself. */
  close(): Promise<void>;
}

interface Pending {
  readonly phase: (phase: Phase) => void;
  readonly ok: (reply: unknown) => void;
  readonly fail: (failure: WorkerFailure) => void;
}

/** A worker in a process of its own. */
export class WorkerHost implements Worker {
  #child: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #pending = new Map<number, Pending>();
  #nextId = 1;
  #errorTail = "";
  #ended: string | undefined;
  #closed: Promise<void>;

  constructor(command: WorkerCommand, readonly limits: PhaseLimits = DEFAULT_LIMITS) {
    this.#child = new Deno.Command(command.command, {
      args: [...command.args],
      ...workerEnvironment(Deno.env.toObject()),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#closed = Promise.all([this.#readReplies(), this.#readErrors(), this.#child.status]).then(([, , status]) => {
      this.#end(`the worker ended with ${status.signal ?? `exit code ${status.code}`}`);
      this.#writer.abort().catch(() => {}); // A pipe to nobody is still a file that is open.
    });
  }

  /** False once the process has ended or was killed. */
  get alive(): boolean {
    return this.#ended === undefined;
  }

  /** The worker's process id, for tests that kill it. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Sends a request and awaits its reply.
   *
   * @throws {WorkerFailure} With the outcome of whatever went wrong.
   */
  async request<Op extends keyof Replies>(body: RequestBody & { op: Op }): Promise<Replies[Op]> {
    if (this.#ended !== undefined) throw new WorkerFailure("crash", this.#ended, true);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = (phase: Phase) => {
      clearTimeout(timer);
      const seconds = this.limits[phase] * (phase === "time" && "configs" in body ? body.configs.length : 1);
      timer = setTimeout(() => {
        reject(new WorkerFailure("timeout", `No end of ${phase} after ${seconds} s`, true));
        this.kill(`the worker was ended: ${phase} took more than ${seconds} s`);
      }, seconds * 1000);
    };
    limit("open");
    this.#pending.set(id, { phase: limit, ok: resolve, fail: reject });
    try {
      await this.#writer.write(new TextEncoder().encode(JSON.stringify({ id, ...body }) + "\n"));
    } catch { // The process is gone: #closed rejects what is pending, with the reason.
    }
    try {
      const reply = REPLIES[body.op].safeParse(await promise);
      if (!reply.success) {
        this.kill("the worker broke the protocol");
        throw new WorkerFailure("crash", `Cannot read the worker's reply: ${z.prettifyError(reply.error)}`, true);
      }
      return reply.data as Replies[Op];
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  /** Ends the process at once. What is pending fails as a crash. */
  kill(reason = "the worker was ended"): void {
    this.#end(reason);
    try {
      this.#child.kill("SIGKILL");
    } catch { // It had ended already.
    }
  }

  /** Lets the worker end by itself, and ends it where it does not within a second. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.kill(), 1000);
    try {
      await this.#writer.close();
    } catch { // It had ended already.
    }
    await this.#closed;
    clearTimeout(timer);
  }

  #end(reason: string): void {
    if (this.#ended !== undefined) return;
    const said = this.#errorTail.trim().split("\n").at(-1);
    this.#ended = said ? `${reason}: ${said}` : reason;
    for (const { fail } of this.#pending.values()) fail(new WorkerFailure("crash", this.#ended, true));
  }

  async #readReplies(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = parts.pop()!;
      for (const line of parts) this.#receive(line);
    }
  }

  #receive(line: string): void {
    let message;
    try {
      message = messageSchema.parse(JSON.parse(line));
    } catch (error) {
      this.kill(`the worker wrote "${line.slice(0, 80)}", which is no message (${firstLine(error)})`);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    if ("phase" in message) pending.phase(message.phase);
    else if ("failure" in message) {
      const { outcome, message: why, fatal } = message.failure;
      pending.fail(new WorkerFailure(outcome, why, fatal));
      if (fatal) this.kill(why);
    } else pending.ok(message.ok);
  }

  async #readErrors(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stderr) {
      const text = decoder.decode(bytes, { stream: true });
      // Mesa says this on every start where no desktop session runs; it hides the real last words.
      const kept = text.split("\n").filter((line) => !line.includes("XDG_RUNTIME_DIR")).join("\n");
      this.#errorTail = (this.#errorTail + kept).slice(-4000);
    }
  }
}
