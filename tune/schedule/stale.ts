/**
 * Whether a stored result still holds, as far as that shows without measuring.
 *
 * @module
 */
import { kernelNamed } from "../../kernels/registry.ts";
import type { Evidence } from "../../results/mod.ts";
import { sourceHash } from "../sweep.ts";
import { VERSION } from "../version.ts";

/** Why a result is tuned again, the most pressing first. */
export const STALE_REASONS = ["missing", "sourceHash", "driver", "drift", "toolchain", "kvtune", "age"] as const;
/** Why a result is tuned again. */
export type StaleReason = typeof STALE_REASONS[number];

/** What a measurement depends on besides its problem and device. */
export interface Circumstances {
  readonly sourceHash: string;
  readonly driver: string;
  readonly toolchain: string;
  readonly kvtune: string;
}

/** A measurement that was made, whether or not its result replaced the stored one. */
export interface Attempt extends Circumstances {
  /** ISO 8601, UTC. */
  readonly date: string;
}

/** A reason with its facts: "driver 580.1 → 590.2". */
export interface Stale {
  readonly reason: StaleReason;
  readonly detail: string;
}

/** What a measurement of a kernel would depend on now, besides the device's driver and toolchain. */
export async function circumstancesNow(
  kernel: string,
  backend: string,
): Promise<Pick<Circumstances, "sourceHash" | "kvtune">> {
  return { sourceHash: await sourceHash(kernelNamed(kernel).implementations[backend]!), kvtune: VERSION };
}

/**
 * Why a stored result is stale, or undefined where it holds.
 *
 * A measurement whose result was not better than the stored one can leave the file as it is. So the last attempt counts
 * too for what merging does not replace a result for: otherwise every run would try the same again.
 *
 * @param evidence What is stored, or undefined for nothing.
 * @param attempt The last measurement of the same size here, where there was one.
 * @param maxAge In seconds.
 */
export function staleness(
  evidence: Evidence | undefined,
  attempt: Attempt | undefined,
  now: Circumstances,
  maxAge: number,
  date: Date,
): Stale | undefined {
  if (!evidence) return { reason: "missing", detail: "missing" };
  for (const reason of ["sourceHash", "driver", "toolchain", "kvtune"] as const) {
    if (evidence[reason] === now[reason]) continue;
    if ((reason === "toolchain" || reason === "kvtune") && attempt?.[reason] === now[reason]) continue;
    return { reason, detail: `${WORDS[reason]} ${short(evidence[reason])} → ${short(now[reason])}` };
  }
  const age = ageSeconds(evidence, attempt, date);
  if (age <= maxAge) return undefined;
  return { reason: "age", detail: `${Math.floor(age / 86_400)} days old` };
}

/** Seconds since a size was last measured. */
export function ageSeconds(evidence: Evidence, attempt: Attempt | undefined, date: Date): number {
  const last = Math.max(Date.parse(evidence.date), attempt ? Date.parse(attempt.date) : 0);
  return (date.getTime() - last) / 1000;
}

const WORDS = { sourceHash: "kernel source", driver: "driver", toolchain: "toolchain", kvtune: "kvtune" };

function short(text: string): string {
  return /^[0-9a-f]{64}$/.test(text) ? text.slice(0, 12) : text;
}
