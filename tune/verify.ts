/**
 * Measures again what a results file claims, on the device that it is about.
 *
 * @module
 */
import type { DeviceInfo } from "../kernels/devices/device.ts";
import type { Implementation, Kernel } from "../kernels/kernel.ts";
import { kernelNamed } from "../kernels/registry.ts";
import { brokenConstraint, type Config, configKey, parseConfig } from "../kernels/space.ts";
import { type Evidence, type Replicate, type Results, type Size, sizesOf } from "../results/mod.ts";
import { findDevices } from "./backends.ts";
import { type CandidateContext, SAMPLE_US, tryBaseline } from "./candidate.ts";
import { FailureError, firstLine } from "./errors.ts";
import { claimRounds, measureClaim } from "./measure/claim.ts";
import { type Interval, median, medianInterval } from "./measure/statistics.ts";
import { Timekeeper } from "./measure/timekeeper.ts";
import { percentText } from "./report/format.ts";
import { toolchain } from "./report/results.ts";
import { sourceHash } from "./sweep.ts";
import { Workbench, WorkerSlot } from "./workbench.ts";
import { type Worker, type WorkerCommand, WorkerFailure } from "./worker/host.ts";
import type { OpenRequest } from "./worker/protocol.ts";

/**
 * What became of a claim. `holds`: the intervals of old and new agree within the noise floor; `drifted`: they do not;
 * `wrong`: the output is; `failed`: it does not run any more; `cannot run`: this device cannot tell.
 */
export type Finding = "holds" | "drifted" | "wrong" | "failed" | "cannot run";

/** What was measured now, as a replicate of the entry. Changes are shares: 0.1 is 10 % more than the file says. */
export interface Remeasured extends Omit<Replicate, "samples"> {
  /** Timed rounds: samples of the config, and as many of the baseline. */
  readonly rounds: number;
  /** The larger one of the file's A/A noise floor and today's. */
  readonly noiseFloor: number;
  readonly relError: number;
  readonly usChange: number;
  readonly speedupChange: number;
}

/** One entry of a file, verified. */
export interface VerifiedEntry extends Size {
  readonly finding: Finding;
  /** Why, in one line, where it does not hold. */
  readonly why?: string;
  /** True where the kernel's sources changed since: the claim is of another program. */
  readonly stale: boolean;
  readonly claimed: Evidence;
  readonly measured?: Remeasured;
}

/** What {@linkcode verify} works with. */
export interface VerifyOptions {
  /** Worker commands by backend name, or what starts a worker. */
  readonly backends: Readonly<Record<string, WorkerCommand | (() => Worker)>>;
  /** Number of the backend's device; the first one of the file's model where absent. */
  readonly device?: number;
  /** For all entries together; each is measured, if briefly, in any case. */
  readonly budgetSeconds: number;
  /** Times may change by this share beyond their intervals: clocks and temperatures differ from day to day. */
  readonly tolerance: number;
  readonly signal: AbortSignal;
  readonly onEntry?: (entry: VerifiedEntry) => void;
}

/** Verifies every entry, in the file's order. Stops early where `signal` aborts. */
export async function verify(results: Results, options: VerifyOptions): Promise<VerifiedEntry[]> {
  const { signal, budgetSeconds } = options;
  const deadline = performance.now() + budgetSeconds * 1000;
  const sizes = sizesOf(results.configs);
  const entries: VerifiedEntry[] = [];
  const add = (entry: VerifiedEntry) => {
    entries.push(entry);
    options.onEntry?.(entry);
  };
  const subject = await subjectOf(results, options);
  const entryOf = (size: Size, stale: boolean) => ({
    ...size,
    stale,
    claimed: results.evidence[size.smCount][size.contextLen],
  });
  if (typeof subject === "string") {
    for (const size of sizes) add({ ...entryOf(size, false), finding: "cannot run", why: subject });
    return entries;
  }
  const slot = new WorkerSlot(options.backends[results.backend]);
  const stop = () => slot.kill();
  signal.addEventListener("abort", stop);
  try {
    for (const [index, size] of sizes.entries()) {
      if (signal.aborted) break;
      const now = performance.now();
      const until = now + Math.max(0, deadline - now) / (sizes.length - index);
      const entry = entryOf(size, results.evidence[size.smCount][size.contextLen].sourceHash !== subject.hash);
      const found = await verifyEntry(results, entry, subject, { slot, until, tolerance: options.tolerance });
      if (!signal.aborted) add({ ...entry, ...found }); // It may tell of the interruption, not of the claim.
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await slot.close();
  }
  return entries;
}

/** What a file is about, as this machine has it. */
interface Subject {
  readonly kernel: Kernel<unknown>;
  readonly implementation: Implementation<unknown>;
  readonly device: DeviceInfo;
  readonly hash: string;
}

/** The file's kernel and device, or why nothing of the file can run here. */
async function subjectOf(
  { kernel: name, backend, device }: Results,
  options: VerifyOptions,
): Promise<Subject | string> {
  let kernel: Kernel<unknown>;
  try {
    kernel = kernelNamed(name);
  } catch (error) {
    return firstLine(error);
  }
  const implementation = kernel.implementations[backend];
  const command = options.backends[backend];
  if (!implementation || !command) return `backend ${backend} is none of ${Object.keys(options.backends).join(", ")}`;
  const { devices, error } = await findDevices(backend, command);
  const found = options.device === undefined
    ? devices.find((one) => one.name === device.name) ?? devices[0]
    : devices.find(({ index }) => index === options.device);
  if (!found) {
    const known = devices.map(({ index, name }) => `${index} (${name})`).join(", ") || error || "no device";
    throw new FailureError(
      `Cannot find device ${options.device ?? `"${device.name}"`} of backend ${backend}: ${known}`,
    );
  }
  if (found.name !== device.name) return `the file is about ${device.name}, this is ${found.name}`;
  return { kernel, implementation, device: found, hash: await sourceHash(implementation) };
}

type Found = Pick<VerifiedEntry, "finding" | "why" | "measured">;

async function verifyEntry(
  results: Results,
  { smCount, contextLen, claimed }: Omit<VerifiedEntry, "finding">,
  { kernel, implementation, device }: Subject,
  { slot, until, tolerance }: { slot: WorkerSlot; until: number; tolerance: number },
): Promise<Found> {
  const config = results.configs[smCount][contextLen];
  const { coldCache, baselineConfig: base } = claimed;
  const problem = read(() => problemOf(results, contextLen, kernel));
  if (typeof problem === "string") return { finding: "cannot run", why: problem };
  const request: OpenRequest = {
    op: "open",
    device: device.index,
    ...(claimed.partition && { smCount }),
    kernel: kernel.name,
    problem,
    seed: claimed.seed ?? 1,
  };
  const workbench = new Workbench(slot, request);
  try {
    const opened = (await workbench.open()).device;
    if (opened.smCount !== smCount) return { finding: "cannot run", why: `the device has ${opened.smCount} SMs here` };
    for (const one of [base, config]) {
      const why = read(() => refusal(one, implementation, problem, opened));
      if (why !== undefined) return { finding: "cannot run", why };
    }
    const context: CandidateContext = { implementation, problem, device: opened, workbench, coldCache };
    const { noise } = await tryBaseline(context, base);
    const { check } = await workbench.try(config);
    if (!check.ok) return { finding: "wrong", why: check.why ?? `relative error ${check.relError}` };
    const keeper = new Timekeeper((configs, samples, rested) =>
      workbench.time(configs, { samples, sampleUs: 2 * SAMPLE_US, coldCache, rested })
    );
    await keeper.time([base, config], 1); // Says how long a round takes.
    const rounds = claimRounds(noise.deviation, (until - performance.now()) / (2 * keeper.msPerSample));
    const claim = await measureClaim(base, config, rounds, keeper);
    await workbench.drop(config);
    const same = configKey(base) === configKey(config);
    const { median: us, interval } = medianInterval(claim.us);
    const measured: Remeasured = {
      us,
      interval,
      baselineUs: median(claim.baselineUs),
      speedup: same ? 1 : claim.speedup,
      speedupInterval: same ? [1, 1] : claim.interval,
      rounds,
      toolchain: toolchain(opened),
      driver: opened.driver,
      date: new Date().toISOString(),
      noiseFloor: Math.max(noise.floor, claimed.noiseFloor ?? 0),
      relError: check.relError,
      usChange: us / claimed.us - 1,
      speedupChange: same ? 0 : claim.speedup / claimed.speedup - 1,
    };
    return { ...judge(claimed, measured, tolerance), measured };
  } catch (error) {
    if (error instanceof WorkerFailure) return { finding: "failed", why: `${error.outcome}: ${firstLine(error)}` };
    if (error instanceof FailureError) return { finding: "failed", why: firstLine(error) };
    throw error;
  }
}

/** What `work` reads from the file, or why that cannot be read. */
function read<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return firstLine(error);
    throw error;
  }
}

function problemOf(results: Results, contextLen: number, kernel: Kernel<unknown>): unknown {
  const { name: _, ragged, ...fields } = results.problem;
  if (ragged === true) throw new RangeError("the file does not say the lengths of a ragged batch");
  return kernel.parseProblem({ ...fields, contextLens: contextLen });
}

/** Why a config of a file, which anyone may have written, must not run: a limit that no runtime enforces can hang it. */
function refusal(
  config: Config,
  implementation: Implementation<unknown>,
  problem: unknown,
  device: DeviceInfo,
): string | undefined {
  // The baseline need not be in the space.
  if (configKey(config) === configKey(implementation.baseline(problem, device))) return undefined;
  const space = implementation.space(problem, device);
  const broken = brokenConstraint(space, parseConfig(space, config));
  return broken && `${broken.name}: ${broken.reason}`;
}

/**
 * Whether a fresh measurement supports a claim. The speed-up, measured side by side, must agree within the noise floor; the
 * time, which moves with clocks and temperature, within the noise floor and a tolerance.
 */
export function judge(
  claimed: Pick<Evidence, "interval" | "speedupInterval">,
  measured: Remeasured,
  tolerance: number,
): Pick<VerifiedEntry, "finding" | "why"> {
  const { noiseFloor, speedupInterval, interval } = measured;
  const why: string[] = [];
  if (!overlap(claimed.speedupInterval, speedupInterval, noiseFloor)) {
    why.push(`the speed-up is ${percentText(measured.speedupChange)}`);
  }
  if (!overlap(claimed.interval, interval, noiseFloor + tolerance)) {
    why.push(`the time is ${percentText(measured.usChange)}`);
  }
  return why.length === 0 ? { finding: "holds" } : { finding: "drifted", why: why.join(", ") };
}

function overlap(a: Interval, b: Interval, margin: number): boolean {
  return a[0] <= b[1] * (1 + margin) && b[0] <= a[1] * (1 + margin);
}
