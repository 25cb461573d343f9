/**
 * What a run finds before it measures: the plan's targets on this host's devices, and which of them are stale.
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import type { Size } from "../../results/mod.ts";
import { toolchain } from "../report/results.ts";
import { type Place, placeOf, type Target, targetText, typeKey } from "../plan/targets.ts";
import type { Plan } from "../plan/plan.ts";
import type { StoredEntry } from "./drift.ts";
import { ageSeconds, type Attempt, type Circumstances, circumstancesNow, type Stale, staleness } from "./stale.ts";
import { StoredResults } from "./stored.ts";

/** A target, where its result is, and what became of it. */
export interface SurveyedTarget {
  readonly target: Target;
  readonly text: string;
  readonly place: Place;
  readonly now: Circumstances;
  readonly stored?: StoredEntry;
  /** Absent where the stored result holds, as far as that shows without measuring. */
  readonly stale?: Stale;
  /** Seconds since it was last measured. */
  readonly age: number;
}

/**
 * Surveys targets.
 *
 * @param devices The devices there are. Of a kind that is not among them no driver is known: it makes nothing stale.
 * @param attempt The last measurement of a size here.
 */
export async function survey(
  targets: readonly Target[],
  { plan, devices, resultsDir, attempt, date }: {
    plan: Plan;
    devices: readonly DeviceInfo[];
    /** Absent: nothing is stored. */
    resultsDir?: string;
    attempt: (path: string, size: Size) => Attempt | undefined;
    date: Date;
  },
): Promise<SurveyedTarget[]> {
  const stored = resultsDir === undefined ? undefined : new StoredResults(resultsDir);
  const here = new Map(
    devices.map((device) => [typeKey(device), { driver: device.driver, toolchain: toolchain(device) }]),
  );
  const known = new Map<string, Pick<Circumstances, "sourceHash" | "kvtune">>();
  const surveyed: SurveyedTarget[] = [];
  for (const target of targets) {
    const { kernel, device } = target;
    const about = `${kernel} ${device.backend}`;
    const common = known.get(about) ?? await circumstancesNow(kernel, device.backend);
    known.set(about, common);
    const place = placeOf(target);
    const entry = stored?.entry(place);
    // A device that is elsewhere may have any driver: nothing is stale for that.
    const { driver, toolchain } = here.get(typeKey(device)) ?? entry?.evidence ?? { driver: "", toolchain: "" };
    const now = { ...common, driver, toolchain };
    const last = attempt(place.path, place.size);
    const stale = staleness(entry?.evidence, last, now, plan.stale.age, date);
    surveyed.push({
      target,
      text: targetText(target),
      place,
      now,
      ...(entry && { stored: entry }),
      ...(stale && { stale }),
      age: entry ? ageSeconds(entry.evidence, last, date) : Infinity,
    });
  }
  return surveyed;
}
