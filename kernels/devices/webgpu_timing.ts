/**
 * Timing on WebGPU: device timestamps on hardware, process CPU time on software adapters.
 *
 * - **Clocks.** A GPU that is not busy lowers its clock within seconds: an H200 was seen at a fifth of its speed, steadily,
 *   while it ran 1.5 ms bursts with compiling in between. So a probe, a fixed amount of arithmetic, is timed before
 *   samples are taken, and load is kept up until it runs as fast as it ever did.
 * - **Warm-up.** Programs then run as they will be sampled until their times are steady.
 * - **No gaps.** All samples of a round are submitted before any is read, so that the device stays busy between them.
 * - **CPU time** of the whole process includes the software adapter's threads, and is far steadier than wall-clock time
 *   on a machine that does other work. Programs are interleaved sample by sample on both.
 *
 * @module
 */
import process from "node:process";
import type { TimeOptions } from "./device.ts";
import { isSteady, STEADY_ROUNDS } from "./steady_state.ts";

/** Records dispatches into a compute pass. */
export type Recorder = (pass: GPUComputePassEncoder) => void;

/** A program as timing sees it: records one run over copy `copy` of the inputs. */
export interface Timed {
  record(pass: GPUComputePassEncoder, copy: number): void;
}

/** Runs in one sample at most. */
const MAX_REPEATS = 2000;
/** Samples that are submitted before the first is read. */
const SAMPLES_IN_FLIGHT = 64;
/** Runs that a first estimate of a program's time is taken from. */
const ESTIMATE_RUNS = 3;
/** Some devices never settle: then samples show the spread. */
const MAX_WARM_UP_ROUNDS = 20;
/** The probe counts as fast within this ratio of its best. */
const FULL_SPEED = 1.03;
/** Load before the first samples, and the longest wait for full speed later on (a throttled device never gets there). */
const FIRST_LOAD_MS = 300;
const MAX_LOAD_MS = 800;

/** Times compute passes. */
export interface PassTimer {
  /** Nanoseconds of each pass. The passes are submitted together, so that the device does not idle between them. */
  time(records: readonly Recorder[]): Promise<number[]>;
  destroy(): void;
}

/** A timer by timestamps, or by the wall clock where the device lacks the feature "timestamp-query". */
export function createPassTimer(device: GPUDevice): PassTimer {
  return device.features.has("timestamp-query") ? timestampTimer(device) : wallTimer(device);
}

function timestampTimer(device: GPUDevice): PassTimer {
  const count = 2 * SAMPLES_IN_FLIGHT;
  const { QUERY_RESOLVE, COPY_SRC, MAP_READ, COPY_DST } = GPUBufferUsage;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const resolved = device.createBuffer({ size: count * 8, usage: QUERY_RESOLVE | COPY_SRC });
  const staging = device.createBuffer({ size: count * 8, usage: MAP_READ | COPY_DST });
  const group = async (records: readonly Recorder[]): Promise<number[]> => {
    records.forEach((record, i) => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      record(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
    });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, 2 * records.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * records.length);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return records.map((_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]));
  };
  return {
    async time(records) {
      const times: number[] = [];
      for (let i = 0; i < records.length; i += SAMPLES_IN_FLIGHT) {
        times.push(...await group(records.slice(i, i + SAMPLES_IN_FLIGHT)));
      }
      return times;
    },
    destroy() {
      querySet.destroy();
      resolved.destroy();
      staging.destroy();
    },
  };
}

function wallTimer(device: GPUDevice): PassTimer {
  return {
    async time(records) {
      const times: number[] = [];
      for (const record of records) {
        const start = performance.now();
        submitPass(device, record);
        await device.queue.onSubmittedWorkDone();
        times.push((performance.now() - start) * 1e6);
      }
      return times;
    },
    destroy() {},
  };
}

/** Keeps a device busy until it runs at full speed. */
export interface SpeedProbe {
  /** Resolves once the probe runs at full speed, or after 0.8 s of load. */
  raise(): Promise<void>;
}

/** A {@linkcode SpeedProbe} whose load is `record`, a pass of about 0.2 to 2 ms of nothing but arithmetic. */
export function createSpeedProbe(timer: PassTimer, record: Recorder): SpeedProbe {
  let best = Infinity;
  let loadedMs = 0;
  return {
    async raise() {
      const start = performance.now();
      while (true) {
        const times = await timer.time(new Array<Recorder>(8).fill(record));
        const fastest = Math.min(...times);
        const ms = performance.now() - start;
        const fast = fastest <= best * FULL_SPEED;
        best = Math.min(best, fastest);
        if ((fast && loadedMs + ms > FIRST_LOAD_MS) || ms > MAX_LOAD_MS) break;
      }
      loadedMs += performance.now() - start;
    },
  };
}

/** µs a run by device timestamps: `samples` for each program, interleaved. */
export async function timeOnDevice(
  timer: PassTimer,
  probe: SpeedProbe,
  programs: readonly Timed[],
  { samples, sampleUs, coldCache }: TimeOptions,
): Promise<number[][]> {
  let copy = 0;
  const runs = (program: Timed, count: number): Recorder => (pass) => {
    for (let i = 0; i < count; i++) program.record(pass, coldCache ? copy++ : 0);
  };
  await probe.raise();
  // The first pass of a program can be slow for reasons of its own; the second is the estimate.
  const estimates = await timer.time(programs.flatMap((program) => [runs(program, 1), runs(program, ESTIMATE_RUNS)]));
  const repeats = programs.map((_, p) => repeatsFor(sampleUs, estimates[2 * p + 1] / 1000 / ESTIMATE_RUNS));
  const rounds = (count: number) =>
    timer.time(Array.from({ length: count }, () => programs.map((program, p) => runs(program, repeats[p]))).flat());
  const warm: number[] = [];
  while (warm.length < MAX_WARM_UP_ROUNDS && !isSteady(warm)) {
    const passes = await rounds(STEADY_ROUNDS);
    for (let i = 0; i < passes.length; i += programs.length) {
      warm.push(passes.slice(i, i + programs.length).reduce((sum, ns) => sum + ns, 0));
    }
  }
  const times = await rounds(samples);
  return programs.map((_, p) =>
    Array.from({ length: samples }, (_, i) => times[i * programs.length + p] / 1000 / repeats[p])
  );
}

/** µs of CPU time of each program's first timed run: runs are long there, and searches ask for few at a time. */
const cpuRunUs = new WeakMap<Timed, number>();

/** µs of CPU time a run: `samples` for each program, interleaved. */
export async function timeOnCpu(
  device: GPUDevice,
  programs: readonly Timed[],
  { samples, sampleUs, coldCache }: TimeOptions,
): Promise<number[][]> {
  let copy = 0;
  const sample = async (program: Timed, count: number) => {
    const before = process.cpuUsage();
    submitPass(device, (pass) => {
      for (let i = 0; i < count; i++) program.record(pass, coldCache ? copy++ : 0);
    });
    await device.queue.onSubmittedWorkDone();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / count;
  };
  // The first run warms the program up and says how long it is; on a CPU it need not be told again.
  for (const program of programs) if (!cpuRunUs.has(program)) cpuRunUs.set(program, await sample(program, 1));
  const repeats = programs.map((program) => repeatsFor(sampleUs, cpuRunUs.get(program)!));
  const times: number[][] = programs.map(() => []);
  for (let i = 0; i < samples; i++) {
    for (const [p, program] of programs.entries()) times[p].push(await sample(program, repeats[p]));
  }
  return times;
}

function repeatsFor(sampleUs: number, runUs: number): number {
  return Math.min(MAX_REPEATS, Math.max(1, Math.ceil(sampleUs / Math.max(runUs, 0.1))));
}

/** Records and submits one compute pass. */
export function submitPass(device: GPUDevice, record: Recorder): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  record(pass);
  pass.end();
  device.queue.submit([encoder.finish()]);
}
