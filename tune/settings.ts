/**
 * The settings of a sweep: all that decides what is measured. They are recorded in the journal, so that a sweep can be
 * resumed without repeating its command line.
 *
 * @module
 */
import { z } from "zod";
import { STRATEGIES, type StrategyName } from "./search/strategies.ts";

/** What a sweep measures. */
export interface SweepSettings {
  readonly kernel: string;
  readonly backend: string;
  /** The Python that has Triton, where one was named. */
  readonly python?: string;
  readonly device: number;
  /** SM counts to sweep: partitions of the device. Absent: the whole device. */
  readonly smCounts?: readonly number[];
  /** The kernel's problem without context lengths. */
  readonly problem: Readonly<Record<string, unknown>>;
  readonly contexts: readonly number[];
  readonly budgetSeconds: number;
  /** Candidates and compiles of the whole sweep at the most. */
  readonly maxEvaluations?: number;
  readonly maxCompiles?: number;
  readonly strategy: StrategyName;
  readonly seed: number;
  readonly coldCache: boolean;
  readonly maxWorkspaceBytes?: number;
  /** Values that parameters keep to, as texts, where the space is narrowed. */
  readonly only?: Readonly<Record<string, readonly string[]>>;
  readonly resultsDir: string;
  /** The command line that reproduces the sweep. */
  readonly command: string;
}

const schema: z.ZodType<SweepSettings> = z.strictObject({
  kernel: z.string(),
  backend: z.string(),
  python: z.string().optional(),
  device: z.int().min(0),
  smCounts: z.array(z.int().min(1)).optional(),
  problem: z.record(z.string(), z.unknown()),
  contexts: z.array(z.int().min(1)).min(1),
  budgetSeconds: z.number().positive(),
  maxEvaluations: z.int().min(1).optional(),
  maxCompiles: z.int().min(1).optional(),
  strategy: z.enum(Object.keys(STRATEGIES) as [StrategyName, ...StrategyName[]]),
  seed: z.int().min(0),
  coldCache: z.boolean(),
  maxWorkspaceBytes: z.number().positive().optional(),
  only: z.record(z.string(), z.array(z.string())).optional(),
  resultsDir: z.string(),
  command: z.string(),
});

/**
 * Reads settings that a journal recorded.
 *
 * @throws {TypeError} Where they are none.
 */
export function parseSettings(json: unknown): SweepSettings {
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new TypeError(`Cannot read the recorded settings: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
