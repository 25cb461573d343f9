/**
 * A worker of the fleet: announces its devices, and takes one job at a time for each of them.
 *
 * @module
 */
import { DelayedError, type Job, UnrecoverableError, WaitingError, Worker } from "bullmq";
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { firstLine } from "../errors.ts";
import { placeOf, problemOf, selects, targetText, typeKey } from "../plan/targets.ts";
import type { GracefulStop } from "../schedule/graceful_stop.ts";
import { tryLockDevice } from "../schedule/lock.ts";
import type { Log } from "../schedule/log.ts";
import { type Fleet, workersByKind } from "./fleet.ts";
import {
  type CheckAnswer,
  type CheckJob,
  type FleetJob,
  parseJob,
  requireAdmitted,
  type TuneAnswer,
  type TuneJob,
} from "./job.ts";
import type { Measure, RowStore } from "./measure.ts";
import { JournalUpload, uploadedRows } from "./uploaded_journal.ts";

/** Times that a job's worker may die before the job counts as failed: outages of Redis count too. */
const MAX_STALLS = 10;

/** ms after which a job is looked at again that this worker cannot take now: the first time, and at most. */
const LOOK_AGAIN = { first: 250, most: 60_000 };

/**
 * ms at most for which a worker keeps from taking jobs after it left one to others: it would be given the same one again.
 * Drawn at random: two workers that each were given their own would else be so for ever.
 */
const STAND_BACK = 1000;

/** ms between two announcements. */
const ANNOUNCE = 5000;

/** What a worker works with. */
export interface FleetWorkerOptions {
  readonly fleet: Fleet;
  /** The worker's name, which no other has. */
  readonly name: string;
  readonly host: string;
  readonly devices: readonly DeviceInfo[];
  readonly measure: Measure;
  /** Takes a device of this host, or gives undefined where another job has it. */
  readonly lock?: (device: DeviceInfo) => Disposable | undefined;
  /** Seconds of silence after which another worker takes over a job. */
  readonly takeoverSeconds: number;
  readonly stop: GracefulStop;
  readonly log: Log;
}

/** Works until `stop` is asked for and the jobs in progress are ended or given back. */
export async function runFleetWorker(options: FleetWorkerOptions): Promise<void> {
  const { fleet, name, host, devices, stop, log } = options;
  await fleet.addKinds(devices);
  const announce = () => fleet.announce({ worker: name, host, devices, seen: Date.now() });
  await announce();
  const timer = setInterval(() => announce().catch(() => {}), ANNOUNCE); // Redis may be away: the next one will do.
  const workers = devices.map((device) => deviceWorker(device, options));
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));
  log("worker ready", { worker: name, devices: devices.map(typeKey) });
  await stop.asked;
  log("worker stopping", { worker: name });
  // Closing waits for the jobs in progress, which hear of the stop by themselves; without Redis it may wait for ever. A job
  // that is not given back by then is taken over.
  const closed = Promise.all(workers.map((worker) => worker.close())).then(() => fleet.leave(name));
  await Promise.race([closed, stop.over]);
  clearInterval(timer);
  log("worker stopped", { worker: name });
}

function deviceWorker(device: DeviceInfo, options: FleetWorkerOptions): Worker {
  const { fleet: { redis, prefix }, name, takeoverSeconds, log } = options;
  const kind = typeKey(device);
  const worker = new Worker(kind, (job, token) => new Attempt(job, token!, device, options).run(), {
    connection: redis,
    prefix,
    name,
    concurrency: 1,
    lockDuration: takeoverSeconds * 1000,
    stalledInterval: takeoverSeconds * 1000,
    maxStalledCount: MAX_STALLS,
  });
  let last = "";
  worker.on("error", (error) => {
    // An outage repeats itself at every attempt to connect.
    if (error.message !== last) log("worker error", { kind, why: firstLine(error) });
    last = error.message;
  });
  worker.on("completed", (job) => log("job done", { kind, job: job.id }));
  worker.on("failed", (job, error) => log("job failed", { kind, job: job?.id, why: firstLine(error) }));
  return worker;
}

/** One attempt at a job. */
class Attempt {
  constructor(
    readonly job: Job,
    readonly token: string,
    readonly device: DeviceInfo,
    readonly options: FleetWorkerOptions,
  ) {}

  async run(): Promise<TuneAnswer | CheckAnswer> {
    const job = await this.#admitted();
    using lock = (this.options.lock ?? tryLockDevice)(this.device);
    if (!lock) return await this.#later();
    this.options.log("job started", { job: this.job.id, do: job.do, target: targetText(job.target) });
    return job.do === "tune" ? await this.#tune(job) : await this.#check(job);
  }

  /** The job, where this worker can and may do it. A refusal is final: no retry makes a job honest. */
  async #admitted(): Promise<FleetJob> {
    const { device, options: { fleet } } = this;
    try {
      const job = await parseJob(this.job.data);
      if (!selects(job.target.device, device)) {
        throw new RangeError(`Cannot run a job for ${job.target.device.name} on ${device.name}`);
      }
      if (job.do === "check") requireAdmitted(job.target, job.results, device, job.search);
      return job;
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)) throw error;
      const why = firstLine(error);
      await fleet.refuse({ kind: typeKey(device), job: String(this.job.id), why });
      await this.job.updateData({ refused: why }); // What was refused need not be kept, however large it is.
      throw new UnrecoverableError(`Refused: ${why}`);
    }
  }

  async #tune(job: TuneJob): Promise<TuneAnswer> {
    const { device, options: { measure, stop, name } } = this;
    const uploads: JournalUpload[] = [];
    const results = await measure.tune(job, device, this.#rows(job, uploads), stop);
    await Promise.all(uploads.map((upload) => upload.flush()));
    if (results === undefined) return await this.#giveBack();
    return { version: 1, worker: name, device, results };
  }

  async #check(job: CheckJob): Promise<CheckAnswer> {
    const { device, options: { measure, stop, name, fleet } } = this;
    if (job.measuredBy === name) {
      const others = workersByKind(await fleet.workers()).get(typeKey(device)) ?? [];
      if (others.some(({ worker }) => worker !== name)) return await this.#leaveToOthers();
      return { version: 1, worker: name, detail: "no other worker has such a device" };
    }
    const { holds, detail } = await measure.check(job, device, stop);
    if (stop.signal.aborted) return await this.#giveBack();
    return { version: 1, worker: name, holds, detail: detail.slice(0, 1000) };
  }

  #rows({ target, search }: TuneJob, uploads: JournalUpload[]): RowStore {
    const { device, options: { fleet } } = this;
    const { size: { smCount } } = placeOf(target);
    const key = fleet.journalKey(String(this.job.id));
    const implementation = kernelNamed(target.kernel).implementations[device.backend]!;
    return {
      load: (task) => {
        const space = implementation.space(problemOf(target), { ...device, smCount }, search);
        return uploadedRows(fleet.redis, key, task, space);
      },
      add(task, row) {
        if (uploads.length === 0) uploads.push(new JournalUpload(fleet.redis, key, task));
        uploads[0].add(row);
      },
    };
  }

  /** Another worker may take the job at once. */
  async #giveBack(): Promise<never> {
    this.options.log("job given back", { job: this.job.id });
    await this.job.moveToWait(this.token);
    throw new WaitingError();
  }

  /** Another worker is to take the job: this one stands back until an idle one has had the chance. */
  async #leaveToOthers(): Promise<never> {
    await this.job.moveToDelayed(Date.now() + Math.random() * LOOK_AGAIN.first, this.token);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stoodBack = new Promise((resolve) => timer = setTimeout(resolve, Math.random() * STAND_BACK));
    await Promise.race([stoodBack, this.options.stop.asked]);
    clearTimeout(timer);
    throw new DelayedError();
  }

  /** The device is busy with something else. */
  async #later(): Promise<never> {
    const { first, most } = LOOK_AGAIN;
    await this.job.moveToDelayed(Date.now() + Math.min(most, first * 2 ** this.job.attemptsStarted), this.token);
    throw new DelayedError();
  }
}
