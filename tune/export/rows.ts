/**
 * The sizes of a results file that an export is about.
 *
 * @module
 */
import type { Config } from "../../kernels/space.ts";
import { type Evidence, lookup, type Results, type Size, sizesOf } from "../../results/mod.ts";
import { UsageError } from "../errors.ts";

/** A config for one context length, and what is known of it. */
export interface ExportRow extends Size {
  readonly config: Config;
  /** How the config was found. */
  readonly match: "exact" | "nearest" | "formula";
  readonly confidence: "high" | "medium" | "low";
  /** The size that was measured; absent for the formula. */
  readonly from?: Size;
  /** What supports it, at `from`. */
  readonly evidence?: Evidence;
}

/** What the user asked for. */
export interface RowsQuery {
  /** That of the whole device where absent. */
  readonly smCount?: number;
  /** Those that were measured where absent. */
  readonly contexts?: readonly number[];
}

/**
 * A row for each context length.
 *
 * @throws {UsageError} Where the file has nothing that was measured for this SM count and no contexts were named.
 */
export function exportRows(results: Results, { smCount, contexts }: RowsQuery): ExportRow[] {
  const sizes = sizesOf(results.configs);
  const sms = smCount ?? results.device.smCount;
  const measured = sizes.filter((size) => size.smCount === sms).map(({ contextLen }) => contextLen);
  if (contexts === undefined && measured.length === 0) {
    const known = [...new Set(sizes.map((size) => size.smCount))].join(", ") || "none";
    throw new UsageError(
      `Cannot export for ${sms} SMs: nothing was measured there; expected --sm-count of ${known}, or --contexts`,
    );
  }
  return (contexts ?? measured).map((contextLen) => {
    const { match, config, confidence, from } = lookup(results, { smCount: sms, contextLen });
    const evidence = from && results.evidence[from.smCount][from.contextLen];
    return { smCount: sms, contextLen, config: config as Config, match, confidence, ...(from && { from, evidence }) };
  });
}

/** The origin of a config in a few words. */
export function originText({ match, confidence, from }: ExportRow): string {
  if (match === "exact") return "measured";
  return from ? `near ${from.contextLen} (${confidence} confidence)` : "the served formula";
}
