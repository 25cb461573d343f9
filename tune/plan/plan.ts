/**
 * Plan files: what is kept tuned, on which devices, how old a result may grow, and where results go.
 *
 * A plan is YAML (or JSON, which is YAML too). It says nothing of how or when it runs: one host's scheduled job and a
 * fleet read the same plan.
 *
 * @module
 */
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { kernelNamed, kernelNames } from "../../kernels/registry.ts";
import { firstLine, UsageError } from "../errors.ts";
import { STRATEGIES, type StrategyName } from "../search/strategies.ts";

/** The longest plan that is read, in UTF-16 units. */
const MAX_PLAN_LENGTH = 2 ** 20;

/** A kind of hardware. What is absent matches anything. */
export interface DeviceSelector {
  /** `webgpu`, `cuda` or `triton`. */
  readonly backend?: string;
  /** As the driver gives it; case and punctuation do not matter: "nvidia-h200" is "NVIDIA H200". */
  readonly name?: string;
  /** Multiprocessors of the whole device, which tell apart parts that share a name. */
  readonly smCount?: number;
}

/** Problems × contexts × devices × SM counts of one kernel. */
export interface PlanEntry {
  readonly kernel: string;
  /** The kernel's problems, without context lengths. */
  readonly problems: readonly Readonly<Record<string, unknown>>[];
  /** Cached tokens a request. */
  readonly contexts: readonly number[];
  readonly devices: readonly DeviceSelector[];
  /** Partitions of each device. Absent: the whole device. */
  readonly smCounts?: readonly number[];
}

/** A plan that was read and checked. Times in seconds. */
export interface Plan {
  readonly tune: readonly PlanEntry[];
  readonly budget: {
    /** One scheduled run at most. */
    readonly run: number;
    /** One problem at one context length at most. */
    readonly problem: number;
  };
  readonly search: {
    readonly strategy: StrategyName;
    readonly seed: number;
    readonly coldCache: boolean;
    /** Scratch memory of a config at most, bytes. */
    readonly maxWorkspaceBytes?: number;
  };
  readonly stale: {
    /** A result older than this is stale. */
    readonly age: number;
    /** Absent: stored winners are not measured again to see whether they still hold. */
    readonly drift?: {
      /** A winner has drifted where its speed-up differs from the recorded one by more than this share. */
      readonly tolerance: number;
      /** A result is left alone until it is this old. */
      readonly after: number;
    };
  };
  readonly busy: {
    /** `skip`: leave a busy device to the next run. `wait`: look again until `patience` is over. */
    readonly then: "wait" | "skip";
    readonly patience: number;
  };
  readonly publish: {
    /** Folder of the results files. */
    readonly results: string;
    /** Commit the results files to this branch of the folder's git repository. */
    readonly branch?: string;
  };
}

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `30m`, `2h`, `90d` → seconds. */
const duration = z.string().regex(/^[0-9]{1,6}(\.[0-9]{1,3})?[smhd]$/, "expected for example 90s, 30m, 2h or 90d")
  .transform((text) => Number(text.slice(0, -1)) * SECONDS[text.at(-1) as keyof typeof SECONDS])
  .refine((seconds) => seconds > 0, "expected more than 0");

const count = z.int().min(1).max(999_999);

const context = z.union([
  z.int().min(1).max(2 ** 24),
  z.string().regex(/^[1-9][0-9]{0,4}k$/).transform((text) => 1024 * Number(text.slice(0, -1))),
], { error: "expected whole numbers of 1 or more, as in 1024 or 32k" });

const device = z.strictObject({
  backend: z.string().min(1).max(64).optional().describe("webgpu, cuda or triton"),
  name: z.string().min(1).max(256).optional().describe("as the driver gives it; case and punctuation do not matter"),
  smCount: count.optional().describe("multiprocessors of the whole device"),
});

const entry = z.strictObject({
  kernel: z.enum(kernelNames as [string, ...string[]]),
  problems: z.array(z.record(z.string(), z.unknown())).min(1).max(1000)
    .describe("the kernel's problems, without context lengths"),
  contexts: z.array(context).min(1).max(1000).describe("cached tokens a request, as in 1024 or 32k"),
  devices: z.array(device).min(1).max(1000).default([{}]).describe("every device that is found where absent"),
  smCounts: z.array(count).min(1).max(1000).optional().describe("partitions of a device; the whole one where absent"),
});

/** What a plan file may say. `schema.json` is this as JSON Schema. */
export const planSchema = z.strictObject({
  $schema: z.string().optional(),
  version: z.literal(1),
  tune: z.array(entry).min(1).max(1000),
  budget: z.strictObject({
    run: duration.prefault("1h").describe("one scheduled run at most"),
    problem: duration.prefault("5m").describe("one problem at one context length at most"),
  }).prefault({}),
  search: z.strictObject({
    strategy: z.enum(Object.keys(STRATEGIES) as [StrategyName, ...StrategyName[]]).default("random"),
    seed: z.int().min(0).max(2 ** 31 - 1).default(1),
    coldCache: z.boolean().default(true),
    maxWorkspaceBytes: z.number().positive().optional(),
  }).prefault({}),
  stale: z.strictObject({
    age: duration.prefault("90d").describe("a result older than this is tuned again"),
    drift: z.union([
      z.literal(false),
      z.strictObject({
        tolerance: z.number().positive().max(10).default(0.1).describe("share of the recorded speed-up"),
        after: duration.prefault("1d").describe("a result is left alone until it is this old"),
      }),
    ], { error: "expected false, or tolerance (a share) and after (a duration)" }).prefault({}).describe(
      "measure stored winners again, or false",
    ),
  }).prefault({}),
  busy: z.strictObject({
    then: z.enum(["wait", "skip"]).default("skip"),
    patience: duration.prefault("10m").describe("how long to wait"),
  }).prefault({}),
  publish: z.strictObject({
    results: z.string().min(1).max(4096).default("results").describe("folder of the results files"),
    branch: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, "expected the name of a git branch").optional()
      .describe("commit the results files to this branch of the folder's git repository"),
  }).prefault({}),
});

/**
 * Reads a plan from a file.
 *
 * @throws {UsageError} Where it cannot be read or is no plan; the message names the file and the field.
 */
export function readPlan(path: string): Plan {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`Cannot read plan "${path}": ${firstLine(error)}, expected a YAML file`);
  }
  return parsePlanText(text, path);
}

/** Reads a plan from YAML; `name` stands in its errors. */
export function parsePlanText(text: string, name: string): Plan {
  const failed = (why: string) => new UsageError(`Cannot read plan "${name}": ${why}`);
  if (text.length > MAX_PLAN_LENGTH) {
    throw failed(`it has ${text.length} characters, expected at most ${MAX_PLAN_LENGTH}`);
  }
  let data: unknown;
  try {
    data = parseYaml(text, { maxAliasCount: 100 });
  } catch (error) {
    throw failed(`${firstLine(error).replace(/:$/, "")}, expected YAML`);
  }
  try {
    return parsePlan(data);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw failed(error.message);
  }
}

/**
 * Reads a plan from untrusted data.
 *
 * @throws {TypeError} With the field's path, its value and what is accepted.
 */
export function parsePlan(data: unknown): Plan {
  const parsed = planSchema.safeParse(data);
  if (!parsed.success) throw new TypeError(issueText(parsed.error.issues[0], data));
  const { tune, stale: { age, drift }, budget, search, busy, publish } = parsed.data;
  for (const [i, { kernel, problems, contexts }] of tune.entries()) {
    for (const [k, problem] of problems.entries()) {
      try {
        if ("contextLens" in problem) throw new TypeError("contextLens is set, expected contexts beside problems");
        kernelNamed(kernel).parseProblem({ ...problem, contextLens: contexts[0] });
      } catch (error) {
        throw new TypeError(`tune[${i}].problems[${k}]: ${firstLine(error)}`);
      }
    }
  }
  return { tune, budget, search, busy, publish, stale: { age, ...(drift !== false && { drift }) } };
}

/** The first thing wrong with data, in one line: where it is, what it is and what would be accepted. */
export function issueText(issue: z.core.$ZodIssue, data: unknown): string {
  const path = issue.path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    "",
  );
  const where = path === "" ? "the document" : path;
  if (issue.code === "unrecognized_keys") return `${where} has the unknown field ${JSON.stringify(cut(issue.keys[0]))}`;
  const value = issue.path.reduce<unknown>((inner, part) => (inner as Record<PropertyKey, unknown>)?.[part], data);
  if (value === undefined) return `${where} is missing`;
  const expected = issue.message.replace(/^[^:]*: expected/, "expected").replace(/, received .*/, "");
  return `${where} is ${cut(JSON.stringify(value))}, ${expected}`;
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
