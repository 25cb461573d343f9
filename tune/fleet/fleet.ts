/**
 * A fleet as its Redis holds it: one BullMQ queue for each kind of device, the kinds that have one, who is there, and what
 * was refused.
 *
 * @module
 */
import { type JobsOptions, Queue } from "bullmq";
import { z } from "zod";
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { firstLine } from "../errors.ts";
import { type DeviceType, typeKey } from "../plan/targets.ts";
import { parseDevice } from "./job.ts";
import type { Redis } from "./redis.ts";

/** Seconds after which a worker that says nothing counts as gone. */
const SILENT_SECONDS = 30;

/** Refusals that are kept. */
const REFUSALS = 1000;

/** The queue of recurring plans. No kind of device has this name: theirs have two dots. */
export const PLANS = "plans";

/** How a job is retried, and how long what became of it is kept. */
export const JOB_OPTIONS: JobsOptions = {
  attempts: 3,
  backoff: { type: "exponential", delay: 10_000 },
  removeOnComplete: false, // The collector takes it first.
  removeOnFail: { age: 30 * 86_400, count: 10_000 },
};

/** A worker and its devices, as it announced them. */
export interface Announcement {
  readonly worker: string;
  readonly host: string;
  readonly devices: readonly DeviceInfo[];
  /** Unix time in ms. */
  readonly seen: number;
}

/** Jobs of one queue by state. */
export interface JobCounts {
  readonly waiting: number;
  readonly active: number;
  /** Waiting for a retry, or for another worker. */
  readonly delayed: number;
  readonly completed: number;
  readonly failed: number;
}

/** A job or an answer that was not taken. */
export interface Refusal {
  readonly date: string;
  /** The queue, which is a kind of device. */
  readonly kind: string;
  readonly job: string;
  readonly why: string;
}

const kindSchema = z.strictObject({ backend: z.string(), name: z.string(), smCount: z.int().min(1) });
const announcementSchema = z.strictObject({
  worker: z.string().max(256),
  host: z.string().max(256),
  devices: z.array(z.unknown()).max(64),
  seen: z.number(),
});

/** An open fleet. */
export class Fleet implements AsyncDisposable {
  #queues = new Map<string, Queue>();

  constructor(readonly redis: Redis, readonly prefix: string) {}

  /** The queue of this name. */
  queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (!queue) {
      queue = new Queue(name, { connection: this.redis, prefix: this.prefix });
      queue.on("error", () => {}); // The connection's own listener hears it too, and commands wait.
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** How many jobs of a queue are in which state. */
  async counts(name: string): Promise<JobCounts> {
    const counts = await this.queue(name).getJobCounts(
      "waiting",
      "prioritized",
      "active",
      "delayed",
      "completed",
      "failed",
    );
    const { active, delayed, completed, failed } = counts as Record<string, number>;
    return { waiting: counts.waiting + counts.prioritized, active, delayed, completed, failed };
  }

  /** The kinds of device that have had a job or a worker, by their queue's name. */
  async kinds(): Promise<Map<string, DeviceType>> {
    const texts = await this.redis.smembers(this.#key("kinds"));
    const kinds = texts.flatMap((text) => {
      try {
        return [kindSchema.parse(JSON.parse(text))];
      } catch { // Written by a stranger: no kind of ours.
        return [];
      }
    });
    return new Map(kinds.map((kind): [string, DeviceType] => [typeKey(kind), kind]).sort());
  }

  /** Makes kinds known. */
  async addKinds(kinds: readonly DeviceType[]): Promise<void> {
    const texts = kinds.map(({ backend, name, smCount }) => JSON.stringify({ backend, name, smCount }));
    if (texts.length > 0) await this.redis.sadd(this.#key("kinds"), ...texts);
  }

  /** Says that a worker is there, and with what. */
  async announce(announcement: Announcement): Promise<void> {
    await this.redis.hset(this.#key("workers"), announcement.worker, JSON.stringify(announcement));
  }

  /** Says that a worker is gone. */
  async leave(worker: string): Promise<void> {
    await this.redis.hdel(this.#key("workers"), worker);
  }

  /** The workers that were heard of lately. Those long silent are forgotten. */
  async workers(now = Date.now()): Promise<Announcement[]> {
    const present: Announcement[] = [];
    for (const [field, text] of Object.entries(await this.redis.hgetall(this.#key("workers")))) {
      const announcement = readAnnouncement(text);
      if (announcement && now - announcement.seen < SILENT_SECONDS * 1000) present.push(announcement);
      else if (!announcement || now - announcement.seen > 10 * SILENT_SECONDS * 1000) await this.leave(field);
    }
    return present;
  }

  /** Records that a job or an answer was not taken. */
  async refuse(refusal: Omit<Refusal, "date">): Promise<void> {
    const text = JSON.stringify({ date: new Date().toISOString(), ...refusal, why: refusal.why.slice(0, 1000) });
    await this.redis.multi().lpush(this.#key("refused"), text).ltrim(this.#key("refused"), 0, REFUSALS - 1).exec();
  }

  /** What was not taken, the newest first. */
  async refusals(limit: number): Promise<Refusal[]> {
    return (await this.redis.lrange(this.#key("refused"), 0, limit - 1)).map((text) => JSON.parse(text) as Refusal);
  }

  /** The list with a job's uploaded journal. */
  journalKey(job: string): string {
    return this.#key(`journal:${job}`);
  }

  #key(name: string): string {
    return `${this.prefix}:kvtune:${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    this.redis.disconnect();
  }
}

function readAnnouncement(text: string): Announcement | undefined {
  try {
    const announcement = announcementSchema.parse(JSON.parse(text));
    return { ...announcement, devices: announcement.devices.map(parseDevice) };
  } catch { // Another version's, or a stranger's: a worker that nothing can be said of.
    return undefined;
  }
}

/** Workers by the kinds of device that they announced. */
export function workersByKind(workers: readonly Announcement[]): Map<string, Announcement[]> {
  const byKind = new Map<string, Announcement[]>();
  for (const worker of workers) {
    for (const kind of new Set(worker.devices.map(typeKey))) byKind.set(kind, [...byKind.get(kind) ?? [], worker]);
  }
  return byKind;
}

/** A worker's message, with what a stranger may have put into it made harmless for a terminal. */
export function printable(text: unknown): string {
  // deno-lint-ignore no-control-regex -- those are what must not reach a terminal
  return firstLine(text).replaceAll(/[\x00-\x1f\x7f-\x9f]/g, " ").slice(0, 300);
}
