/**
 * Kernel Tuner's cache files, schema 1.x and older ones without a version: `cache` has a record for each config, whose
 * `time` is a number of milliseconds or the name of a failure.
 *
 * @module
 */
import { z } from "zod";
import type { Recorded } from "../recording.ts";

const value = z.union([z.string(), z.number(), z.boolean()]);

/** What older versions wrote as the time of a config that failed. */
const FAILED = 1e20;

export const cacheSchema = z.object({
  device_name: z.string().default(""),
  kernel_name: z.string().default("kernel"),
  tune_params_keys: z.array(z.string()).min(1),
  tune_params: z.record(z.string(), z.array(value)),
  cache: z.record(z.string(), z.record(z.string(), z.unknown())),
});

/** Reads a cache. @throws {RangeError} Where a record lacks a parameter. */
export function readCache(file: z.infer<typeof cacheSchema>): Recorded {
  return {
    name: [file.kernel_name, file.device_name].filter((part) => part !== "").join(" "),
    device: file.device_name,
    params: file.tune_params_keys.map((name) => ({ name, values: file.tune_params[name] ?? [], recompiles: true })),
    entries: Object.entries(file.cache).map(([key, record]) => {
      const config = Object.fromEntries(file.tune_params_keys.map((name) => {
        const read = value.safeParse(record[name]);
        if (!read.success) throw new RangeError(`record "${key}" has no value for "${name}"`);
        return [name, read.data];
      }));
      const { time } = record;
      return { config, cost: typeof time === "number" && time > 0 && time < FAILED ? time : undefined };
    }),
  };
}

/** The text of a cache whose tuning was not ended, with the brackets that it lacks: such files end in a comma. */
export function closedCache(text: string): string {
  return text.trimEnd().replace(/,$/, "") + "}}";
}
