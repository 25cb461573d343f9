/**
 * Python processes that compile beside the one that has the device.
 *
 * Triton compiles one kernel at a time, for seconds each. These fill its cache on disk, where the one finds what it builds.
 *
 * @module
 */
import type { TritonProgram } from "../device.ts";
import type { Python } from "./python.ts";
import { asJson } from "./session.ts";

/** A program on its way through a process. */
interface Job {
  readonly request: Readonly<Record<string, unknown>>;
  /** Once true, waiting is worth more than compiling it again. */
  sent: boolean;
  cancelled: boolean;
}

/** One process, started when it is first needed, and how much it has to do. */
class Lane {
  #python: Promise<Python> | undefined;
  #last: Promise<void> = Promise.resolve();
  queued = 0;

  constructor(readonly start: () => Promise<Python>) {}

  /** Resolves, never rejects, once the job is answered or cancelled, or the process is gone. */
  take(job: Job): Promise<void> {
    this.queued++;
    const work = async () => {
      try {
        const python = await (this.#python ??= this.start());
        if (job.cancelled) return;
        job.sent = true;
        await python.request(job.request);
      } catch { // What does not compile is met again by the build, which says so.
      } finally {
        this.queued--;
      }
    };
    return this.#last = this.#last.then(work);
  }

  async close(): Promise<void> {
    try {
      await (await this.#python)?.close(); // It ends whatever it is busy with.
    } catch { // It never started.
    }
  }
}

/** Some processes that compile programs for one device. */
export class Compilers {
  readonly #lanes: readonly Lane[];
  readonly #jobs = new Map<string, { readonly job: Job; readonly done: Promise<void> }>();

  /**
   * @param start Starts a process.
   * @param device The number of the device that they compile for.
   * @param count How many to start at the most.
   */
  constructor(start: () => Promise<Python>, readonly device: number, count: number) {
    this.#lanes = Array.from({ length: count }, () => new Lane(start));
  }

  /** Starts to compile a program, once. Resolves once that has ended, or is left to the build. */
  prepare(program: TritonProgram): Promise<void> {
    const key = keyOf(program);
    const known = this.#jobs.get(key);
    if (known) return known.done;
    const request = { op: "warm", device: this.device, program: asJson(program) };
    const job: Job = { request, sent: false, cancelled: false };
    const lane = this.#lanes.reduce((least, one) => one.queued < least.queued ? one : least);
    const done = lane.take(job);
    this.#jobs.set(key, { job, done });
    return done;
  }

  /**
   * Resolves once `program` may be built: at once where no process has begun to compile it, which none does from then on;
   * else when that one is done.
   */
  async settled(program: TritonProgram): Promise<void> {
    const found = this.#jobs.get(keyOf(program));
    if (!found) return;
    if (found.job.sent) await found.done;
    else found.job.cancelled = true;
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }
}

/** What decides what is compiled, and the sizes beside it. */
function keyOf({ launches }: TritonProgram): string {
  return JSON.stringify(launches.map(({ module, function: name, args, options }) => [module, name, args, options]));
}
