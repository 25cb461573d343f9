/** The table that ends a sweep, and the same as one JSON document. */
import type { SweepReport, SweepRow } from "../sweep.ts";
import { bytesText, configText, digits3, speedupText } from "./format.ts";
import { tableText } from "./table.ts";

/** A line of explanation, the table, and where the results are. */
export function sweepText(report: SweepReport, journal: string): string {
  const { device, clock, rows } = report;
  const partition = new Set(rows.map((row) => row.smCount)).size > 1;
  const head = [
    ...(partition ? ["SMs"] : []),
    "context",
    "best config",
    clock === "cpu" ? "CPU µs" : "µs",
    "GB/s",
    "TFLOP/s",
    "× baseline [95 %]",
    "workspace",
    "tried",
  ];
  const lines = rows.length === 0 ? [] : [
    `${device.name} (${device.backend}, ${device.smCount} ${device.software ? "threads" : "SMs"})`,
    tableText(
      head,
      rows.map((row) => cells(row, partition)),
      Object.fromEntries(head.map((name) => [name, name === "best config" ? { width: 44 } : { right: true }])),
    ),
  ];
  if (clock === "cpu" && rows.length > 0) {
    lines.push("A software adapter: times are the process's CPU time, summed over its threads.");
  }
  for (const warning of new Set(rows.flatMap((row) => row.report?.verdict.warnings ?? []))) {
    lines.push(`Doubt: ${warning}`);
  }
  for (const row of rows) if (row.error) lines.push(`Context ${row.contextLen}: ${row.error}`);
  if (report.stopped) lines.push(`Stopped. What was measured is in ${journal}: deno run tune resume goes on`);
  if (report.path) lines.push(`Results: ${report.path}`);
  return lines.join("\n");
}

function cells(row: SweepRow, partition: boolean): string[] {
  const lead = [...(partition ? [String(row.smCount)] : []), String(row.contextLen)];
  if (!row.report) return [...lead, "failed", "", "", "", "", "", ""];
  const { verdict, candidates } = row.report;
  return [
    ...lead,
    configText(verdict.config) + (verdict.chosen === "baseline" ? " (baseline)" : ""),
    digits3(verdict.us),
    digits3(row.gbps!),
    digits3(row.tflops!),
    speedupText(verdict.speedup, verdict.speedupInterval),
    bytesText(verdict.workspaceBytes),
    String(candidates.size),
  ];
}

/** The sweep as data: what `--json` prints. */
export function sweepJson(report: SweepReport): unknown {
  return {
    device: report.device,
    clock: report.clock,
    seconds: report.seconds,
    stopped: report.stopped,
    path: report.path ?? null,
    rows: report.rows.map(({ contextLen, smCount, report, gbps, tflops, error }) => ({
      contextLen,
      smCount,
      ...(error !== undefined && { error }),
      ...(report && {
        ...report.verdict,
        gbps,
        tflops,
        exhausted: report.exhausted,
        outcomes: countOutcomes([...report.candidates.values()].map((row) => row.outcome)),
      }),
    })),
  };
}

function countOutcomes(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
