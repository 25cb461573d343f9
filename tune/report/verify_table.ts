/** The table of `tune verify`. */
import type { Between } from "../measure/replicates.ts";
import type { Recorded } from "../record.ts";
import type { VerifiedEntry } from "../verify.ts";
import { digits3, percentText, speedupText } from "./format.ts";
import { tableText } from "./table.ts";

/** A row an entry, and how many hold. */
export function verifyText(entries: readonly VerifiedEntry[]): string {
  const head = ["SMs", "context", "finding", "× baseline, file", "× baseline, now", "µs, file", "µs, now", "change"];
  const rows = entries.map(({ smCount, contextLen, finding, claimed, measured, stale }) => [
    String(smCount),
    String(contextLen),
    stale ? `${finding} (stale)` : finding,
    speedupText(claimed.speedup, claimed.speedupInterval),
    measured ? speedupText(measured.speedup, measured.speedupInterval) : "",
    digits3(claimed.us),
    measured ? digits3(measured.us) : "",
    measured ? percentText(measured.usChange) : "",
  ]);
  const right = { right: true };
  const lines = [
    tableText(head, rows, Object.fromEntries(head.map((name) => [name, name === "finding" ? {} : right]))),
  ];
  for (const { smCount, contextLen, finding, why } of entries) {
    if (why) lines.push(`${smCount} SMs, context ${contextLen}: ${finding}: ${why}`);
  }
  if (entries.some(({ stale }) => stale)) lines.push("Stale: the kernel's sources changed since the file was written.");
  lines.push(`${entries.filter(({ finding }) => finding === "holds").length} of ${entries.length} entries hold`);
  return lines.join("\n");
}

/** What was recorded of so many entries, which of them are no longer beyond doubt, and which seem to have changed. */
export function recordText(
  { results, sizes, speedup, us, others, doubtful, apart }: Recorded,
  entries: number,
): string {
  const by = ({ deviation }: Pick<Between, "deviation">) => `${(100 * deviation).toFixed(2)} %`;
  const differ = [speedup && `by ${by(speedup)} in the speed-up`, us && `by ${by(us)} in the time`].filter(Boolean);
  const lines = doubtful.map(({ smCount, contextLen }) => {
    const { speedup, speedupInterval } = results.evidence[smCount][contextLen];
    const text = speedupText(speedup, speedupInterval);
    return `${smCount} SMs, context ${contextLen}: no longer faster beyond doubt: ${text}; the config stays`;
  });
  for (const { smCount, contextLen, deviation } of apart) {
    lines.push(
      `${smCount} SMs, context ${contextLen}: its processes differ by ${
        by({ deviation })
      }, which widens every interval ` +
        "of the file: take the entry out and sweep it again",
    );
  }
  lines.push(
    `Recorded ${sizes.length} of ${entries} entries${
      differ.length === 0 ? "" : `: processes differ ${differ.join(" and ")}`
    }${differ.length === 0 || others === 0 ? "" : `, and intervals go by ${others} other files of the device, too`}`,
  );
  return lines.join("\n");
}
