/** A results file, and the difference between two, as tables for people. */
import type { Config } from "../../kernels/space.ts";
import { type Evidence, type Results, resultsPath, sizesOf } from "../../results/mod.ts";
import type { ResultsDiff } from "./results_diff.ts";
import { configText, digits3, speedupText } from "./format.ts";
import { bytesText } from "./format.ts";
import { tableText } from "./table.ts";

const RIGHT = { right: true };

/** What it is about in one line, and a row for each size. */
export function resultsText(results: Results): string {
  const { device, backend, kernel, configs, evidence } = results;
  const unit = device.software ? "threads" : "SMs";
  const rows = sizesOf(configs).map(({ smCount, contextLen }) =>
    row(smCount, contextLen, configs[smCount][contextLen], evidence[smCount][contextLen])
  );
  const head = [unit, "context", "config", "µs", "GB/s", "TFLOP/s", "× baseline [95 %]", "workspace", "measured"];
  const styles = Object.fromEntries(head.map((name) => [name, name === "config" ? { width: 44 } : RIGHT]));
  const lines = [
    `${kernel} on ${device.name} (${backend}, ${device.smCount} ${unit}): ${problemName(results)}`,
    rows.length === 0 ? "No entries" : tableText(head, rows, styles),
  ];
  const all = sizesOf(evidence).map(({ smCount, contextLen }) => evidence[smCount][contextLen]);
  if (all.some(({ clock }) => clock === "cpu")) {
    lines.push("A software adapter: times are the process's CPU time, summed over its threads.");
  }
  for (const warning of new Set(all.flatMap(({ warnings }) => warnings ?? []))) lines.push(`Doubt: ${warning}`);
  return lines.join("\n");
}

function row(smCount: number, contextLen: number, config: Config, evidence: Evidence): string[] {
  return [
    `${smCount}${evidence.partition ? " of a partition" : ""}`,
    String(contextLen),
    configText(config) + (evidence.chosen === "baseline" ? " (baseline)" : ""),
    digits3(evidence.us),
    digits3(evidence.gbps),
    digits3(evidence.tflops),
    speedupText(evidence.speedup, evidence.speedupInterval),
    bytesText(evidence.workspaceBytes),
    evidence.date.slice(0, 10),
  ];
}

/** What differs from `a` to `b`: a row for each size that is not the same in both. */
export function diffText(a: Results, b: Results, diff: ResultsDiff): string {
  const head = ["SMs", "context", "what", "parameters", "µs", "time ratio"];
  const styles = Object.fromEntries(head.map((name) => [name, name === "parameters" ? { width: 44 } : RIGHT]));
  const rows = [
    ...diff.removed.map((size) => ({ ...size, cells: ["removed", "", "", ""] })),
    ...diff.added.map((size) => ({ ...size, cells: ["added", "", "", ""] })),
    ...diff.changed.map((change) => ({
      ...change,
      cells: [
        Object.keys(change.params).length > 0 ? "config" : "evidence",
        Object.entries(change.params).map(([name, [from, to]]) => `${name} ${from ?? "–"} → ${to ?? "–"}`).join(", "),
        `${digits3(change.us[0])} → ${digits3(change.us[1])}`,
        (change.us[1] / change.us[0]).toFixed(3),
      ],
    })),
  ].sort((x, y) => x.smCount - y.smCount || x.contextLen - y.contextLen);
  const lines = [`From: ${subject(a)}`, `To:   ${subject(b)}`];
  if (rows.length > 0) {
    lines.push(tableText(head, rows.map((r) => [String(r.smCount), String(r.contextLen), ...r.cells]), styles));
  }
  lines.push(
    `${diff.same} the same, ${diff.changed.length} changed, ${diff.added.length} added, ${diff.removed.length} removed`,
  );
  return lines.join("\n");
}

function subject(results: Results): string {
  return `${results.kernel} on ${results.device.name} (${results.backend}): ${problemName(results)}`;
}

function problemName(results: Results): string {
  return resultsPath(results).split("/")[3].replace(/\.json$/, "");
}
