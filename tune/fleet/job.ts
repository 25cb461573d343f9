/**
 * What a job of the fleet says: a kernel and a problem by name and number. It never has code or a path, and a worker takes
 * nothing in it on trust.
 *
 * @module
 */
import { z } from "zod";
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { sha256 } from "../../kernels/sha256.ts";
import { brokenConstraint, configKey, parseConfig } from "../../kernels/space.ts";
import { parseResults, type Results, resultsPath, sizesOf } from "../../results/mod.ts";
import { firstLine } from "../errors.ts";
import { issueText, type Plan } from "../plan/plan.ts";
import { placeOf, problemOf, selects, type Target } from "../plan/targets.ts";
import { STRATEGIES, type StrategyName } from "../search/strategies.ts";
import { sourceHash } from "../sweep.ts";

/** The longest job and the longest answer, as JSON in UTF-16 units. */
const MAX_LENGTH = 2 ** 16;

interface CommonJob {
  readonly version: 1;
  readonly target: Target;
  /** The kernel's sources, which a worker must have itself. */
  readonly sourceHash: string;
  readonly search: Plan["search"];
}

/** Find the best config. */
export interface TuneJob extends CommonJob {
  readonly do: "tune";
  readonly budgetSeconds: number;
}

/** Measure again what another worker found. */
export interface CheckJob extends CommonJob {
  readonly do: "check";
  readonly results: Results;
  readonly measuredBy: string;
}

/** One problem on one kind of device. */
export type FleetJob = TuneJob | CheckJob;

/** What a worker answers to a {@linkcode TuneJob}. */
export interface TuneAnswer {
  readonly version: 1;
  readonly worker: string;
  readonly device: DeviceInfo;
  readonly results: Results;
}

/** What a worker answers to a {@linkcode CheckJob}. `holds` is absent where nobody but the first worker could measure. */
export interface CheckAnswer {
  readonly version: 1;
  readonly worker: string;
  readonly holds?: boolean;
  readonly detail: string;
}

const text = (max: number) => z.string().min(1).max(max);
const value = z.union([z.number(), z.string().max(256), z.boolean()]);

const target = z.strictObject({
  kernel: text(64),
  device: z.strictObject({ backend: text(64), name: text(256), smCount: z.int().min(1).max(999_999) }),
  partition: z.int().min(1).max(999_999).optional(),
  problem: z.record(text(64), value),
  contextLen: z.int().min(1).max(2 ** 24),
});

const common = {
  version: z.literal(1),
  target,
  sourceHash: z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hex digits"),
  search: z.strictObject({
    strategy: z.enum(Object.keys(STRATEGIES) as [StrategyName, ...StrategyName[]]),
    seed: z.int().min(0).max(2 ** 31 - 1),
    coldCache: z.boolean(),
    maxWorkspaceBytes: z.number().positive().optional(),
  }),
};

const jobSchema = z.discriminatedUnion("do", [
  z.strictObject({ ...common, do: z.literal("tune"), budgetSeconds: z.number().positive().max(7 * 86_400) }),
  z.strictObject({ ...common, do: z.literal("check"), results: z.unknown(), measuredBy: text(256) }),
]);

const deviceSchema = z.strictObject({
  backend: text(64),
  index: z.int().min(0),
  name: text(256),
  arch: z.string().max(256),
  driver: z.string().max(256),
  smCount: z.int().min(1).max(999_999),
  smCountSource: z.enum(["driver", "measured", "threads", "given"]),
  software: z.boolean(),
  limits: z.record(text(64), z.number()),
  features: z.array(text(128)).max(256),
});

const tuneAnswerSchema = z.strictObject({
  version: z.literal(1),
  worker: text(256),
  device: deviceSchema,
  results: z.unknown(),
});
const checkAnswerSchema = z.strictObject({
  version: z.literal(1),
  worker: text(256),
  holds: z.boolean().optional(),
  detail: z.string().max(4096),
});

/** Reads a device that a worker announced. */
export function parseDevice(data: unknown): DeviceInfo {
  return read(deviceSchema, data, "device");
}

/**
 * Reads a job from untrusted data, and checks it against this installation.
 *
 * @throws {TypeError | RangeError} In one line: what is wrong, and what would be accepted.
 */
export async function parseJob(data: unknown): Promise<FleetJob> {
  const job = read(jobSchema, data, "job");
  const { target: { kernel, device, partition } } = job;
  const implementation = kernelNamed(kernel).implementations[device.backend];
  if (!implementation) throw new RangeError(`Cannot run ${kernel} on ${device.backend}: not implemented`);
  const own = await sourceHash(implementation);
  if (own !== job.sourceHash) {
    throw new RangeError(
      `Cannot run ${kernel}: its source hash is ${job.sourceHash}, expected ${own} as installed here`,
    );
  }
  if (partition !== undefined && partition > device.smCount) {
    throw new RangeError(`Cannot run on ${partition} SMs of a device with ${device.smCount}`);
  }
  placeOf(job.target); // Reads the problem.
  return job.do === "tune" ? job : { ...job, results: parseAbout(job.target, job.sourceHash, job.results) };
}

/**
 * Reads the answer to a tune job as a stranger's: its results are what was asked for, and its configs are ones that the
 * kernel's space has.
 *
 * @throws {TypeError | RangeError} In one line.
 */
export function parseTuneAnswer({ target, sourceHash, search }: TuneJob, data: unknown): TuneAnswer {
  const { results, ...answer } = read(tuneAnswerSchema, data, "answer");
  if (!selects(target.device, answer.device)) {
    throw new RangeError(`Cannot take results from ${answer.device.name}: the job is for ${target.device.name}`);
  }
  const parsed = parseAbout(target, sourceHash, results);
  requireAdmitted(target, parsed, answer.device, search);
  return { ...answer, results: parsed };
}

/** Reads the answer to a check job. */
export function parseCheckAnswer(data: unknown): CheckAnswer {
  return read(checkAnswerSchema, data, "answer");
}

/**
 * Checks that a results document has one entry whose config and baseline are in the kernel's space on a device.
 *
 * @throws {RangeError} Naming the parameter or the constraint.
 */
export function requireAdmitted(
  target: Target,
  { configs, evidence }: Results,
  device: DeviceInfo,
  { maxWorkspaceBytes }: Plan["search"],
): void {
  const { size: { smCount, contextLen } } = placeOf(target);
  const config = configs[smCount][contextLen];
  const implementation = kernelNamed(target.kernel).implementations[target.device.backend]!;
  const space = implementation.space(problemOf(target), { ...device, smCount }, { maxWorkspaceBytes });
  const baseline = configKey(implementation.baseline(problemOf(target), { ...device, smCount }));
  const { baselineConfig } = evidence[smCount][contextLen];
  if (configKey(baselineConfig) !== baseline) {
    throw new RangeError(
      `Cannot take results: their baseline is ${cut(configKey(baselineConfig))}, expected ${baseline}`,
    );
  }
  if (configKey(config) === baseline) return; // It need not be in the space.
  const broken = brokenConstraint(space, parseConfig(space, config));
  if (broken) throw new RangeError(`Cannot take results: the config breaks ${broken.name}: ${broken.reason}`);
}

/** A results document about one target alone. */
function parseAbout(target: Target, hash: string, data: unknown): Results {
  const results = parseResults(data);
  const { path, size: { smCount, contextLen } } = placeOf(target);
  const sizes = sizesOf(results.configs);
  const entry = results.evidence[smCount]?.[contextLen];
  if (resultsPath(results) !== path || sizes.length !== 1 || !entry) {
    const found = `${resultsPath(results)} with ${
      sizes.map((size) => `${size.smCount}/${size.contextLen}`).join(", ")
    }`;
    throw new RangeError(`Cannot take results about ${cut(found)}: expected ${path} with ${smCount}/${contextLen}`);
  }
  if (entry.sourceHash !== hash) {
    throw new RangeError(`Cannot take results: their source hash is ${cut(entry.sourceHash)}, expected ${hash}`);
  }
  return results;
}

/** The id of a job: equal jobs have equal ids, so that what is queued already is not queued twice. */
export async function jobId({ target, sourceHash, search }: TuneJob): Promise<string> {
  return `tune-${(await sha256(JSON.stringify([target, sourceHash, search]))).slice(0, 32)}`;
}

function read<T>(schema: z.ZodType<T>, data: unknown, what: string): T {
  const { length } = JSON.stringify(data) ?? "";
  if (length > MAX_LENGTH) {
    throw new RangeError(`Cannot read the ${what}: it has ${length} characters, expected at most ${MAX_LENGTH}`);
  }
  const parsed = schema.safeParse(data);
  if (!parsed.success) throw new TypeError(`Cannot read the ${what}: ${issueText(parsed.error.issues[0], data)}`);
  return parsed.data;
}

function cut(long: string): string {
  return firstLine(long.length > 200 ? `${long.slice(0, 200)}…` : long);
}
