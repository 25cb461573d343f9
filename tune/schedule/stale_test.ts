import { deepStrictEqual, strictEqual } from "node:assert";
import { sampleEvidence } from "../../results/testing/samples.ts";
import { type Attempt, type Circumstances, staleness } from "./stale.ts";

const EVIDENCE = sampleEvidence({ date: "2026-01-01T00:00:00.000Z" });
const NOW: Circumstances = { sourceHash: "sha256-abc", driver: "580.159", toolchain: "nvrtc 13.0", kvtune: "0.1.0" };
const DAY = 86_400;
const on = (date: string) => new Date(`${date}T00:00:00.000Z`);

function reason(now: Partial<Circumstances>, attempt?: Partial<Attempt>, date = "2026-01-02"): string | undefined {
  const last = attempt && { ...NOW, date: EVIDENCE.date, ...attempt };
  return staleness(EVIDENCE, last, { ...NOW, ...now }, 30 * DAY, on(date))?.detail;
}

Deno.test("staleness() is undefined where nothing changed, and names what did with both values", () => {
  strictEqual(reason({}), undefined);
  strictEqual(reason({ driver: "590.1" }), "driver 580.159 → 590.1");
  strictEqual(reason({ toolchain: "nvrtc 13.1" }), "toolchain nvrtc 13.0 → nvrtc 13.1");
  strictEqual(reason({ kvtune: "0.2.0" }), "kvtune 0.1.0 → 0.2.0");
  strictEqual(reason({ sourceHash: "b".repeat(64) }), "kernel source sha256-abc → bbbbbbbbbbbb");
});

Deno.test("staleness() is missing where nothing is stored", () => {
  deepStrictEqual(staleness(undefined, undefined, NOW, DAY, on("2026-01-02"))?.reason, "missing");
});

Deno.test("staleness() counts an attempt whose result was not better as up to date", () => {
  strictEqual(reason({ kvtune: "0.2.0" }, { kvtune: "0.2.0" }), undefined);
  strictEqual(reason({}, {}, "2026-03-01"), "59 days old");
  strictEqual(reason({}, { date: "2026-02-20T00:00:00.000Z" }, "2026-03-01"), undefined);
});

Deno.test("staleness() does not take an attempt's word for a stored result of other sources or another driver", () => {
  strictEqual(reason({ driver: "590.1" }, { driver: "590.1" }), "driver 580.159 → 590.1");
  strictEqual(reason({ sourceHash: "x" }, { sourceHash: "x" }), "kernel source sha256-abc → x");
});
