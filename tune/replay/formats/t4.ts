/**
 * T4, the result format that auto-tuners share (schema 1.0.0; Kernel Tuner writes and reads it, as does the benchmark hub of
 * AutoTuningAssociation).
 *
 * @module
 */
import { z } from "zod";
import type { CandidateRow } from "../../journal.ts";
import { median } from "../../measure/statistics.ts";
import { paramsOf, type Recorded } from "../recording.ts";

const value = z.union([z.string(), z.number(), z.boolean()]);

export const t4Schema = z.object({
  schema_version: z.string().regex(/^1\./, "expected a version 1.x.x").default("1.0.0"),
  results: z.array(z.object({
    configuration: z.record(z.string(), value),
    invalidity: z.string(),
    times: z.object({ runtimes: z.array(z.number()).optional() }).optional(),
    measurements: z.array(z.object({ name: z.string(), value: z.unknown() })).default([]),
    objectives: z.array(z.string()).default(["time"]),
  })).min(1),
});

/** Reads T4. Configs that broke a constraint are none of the space. */
export function readT4({ results }: z.infer<typeof t4Schema>, name: string): Recorded {
  const admitted = results.filter(({ invalidity }) => invalidity !== "constraints");
  return {
    name,
    params: paramsOf(admitted.map(({ configuration }) => configuration)),
    entries: admitted.map(({ configuration, invalidity, times, measurements, objectives }) => {
      const objective = measurements.find(({ name }) => name === objectives[0])?.value;
      const runtimes = times?.runtimes ?? [];
      const cost = typeof objective === "number" ? objective : runtimes.length > 0 ? median(runtimes) : undefined;
      return { config: configuration, cost: invalidity === "correct" ? cost : undefined };
    }),
  };
}

/** Our outcomes in T4's words. A crash is the most that a run-time error can do. */
const INVALIDITY: Readonly<Record<string, string>> = {
  ok: "correct",
  constraint: "constraints",
  compile: "compile",
  wrong: "correctness",
  timeout: "timeout",
};

/** A journal's candidates as T4. Times are in milliseconds, as Kernel Tuner's are. */
export function t4Text(rows: Iterable<CandidateRow>): string {
  const results = [...rows].map((row) => {
    const time = row.samples.length > 0 ? median([...row.samples]) / 1e3 : undefined;
    const measured = (name: string, value: number | undefined, unit: string) =>
      value === undefined ? [] : [{ name, value, unit }];
    return {
      configuration: row.config,
      times: {
        compilation_time: row.compileMs ?? 0,
        runtimes: row.samples.map((us) => us / 1e3),
        framework: Math.max(0, row.spentMs - (row.compileMs ?? 0)),
        search_algorithm: 0,
        validation: 0,
      },
      invalidity: INVALIDITY[row.outcome] ?? "runtime",
      correctness: row.outcome === "ok" ? 1 : 0,
      measurements: [
        ...measured("time", time, "ms"),
        ...measured("cost", row.cost, "times the baseline"),
        ...measured("relative_error", row.relError, ""),
      ],
      objectives: ["time"],
    };
  });
  return JSON.stringify({ schema_version: "1.0.0", results }, null, 1) + "\n";
}
