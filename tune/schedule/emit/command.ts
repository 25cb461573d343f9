/** What the emitted units run. */
import config from "../../../deno.json" with { type: "json" };
import type { Plan } from "../../plan/plan.ts";
import { UsageError } from "../../errors.ts";
import type { Timetable } from "../job.ts";

/** The schedulers that there are units for, as `--emit` names them. */
export const EMIT_KINDS = ["systemd", "kubernetes", "github-actions"] as const;
/** A scheduler that there is a unit for. */
export type EmitKind = typeof EMIT_KINDS[number];

/** What a unit is made from. */
export interface EmitOptions {
  readonly plan: Plan;
  /** Absolute path of the plan file. */
  readonly planPath: string;
  /** Text of the plan file. */
  readonly planText: string;
  readonly timetable: Timetable;
  /** Absolute path of kvtune's folder. */
  readonly root: string;
  /** Absolute path of Deno. */
  readonly deno: string;
  /** User that a service runs as. */
  readonly user: string;
  /** Container image that has Deno and, as its working folder, kvtune. */
  readonly image: string;
  /** What else the command line says of the job: only a unit on this very host can pass it on. */
  readonly places: Places;
}

/** Where a job works, as its options say it; absolute paths. Absent: the defaults of the job. */
export interface Places {
  readonly results?: string;
  readonly state?: string;
  /** `[host:]port`. */
  readonly healthz?: string;
}

/**
 * For a unit whose folders are not this host's.
 *
 * @throws {UsageError} Where an option names one all the same.
 */
export function refusePlaces(unit: string, { places }: EmitOptions, why: string): void {
  for (const [name, value] of Object.entries(places)) {
    if (value !== undefined) {
      throw new UsageError(`Cannot emit ${unit} for --${name} "${value}": expected none, ${why}`);
    }
  }
}

/** `deno run …` as the task `schedule` has it, with the same permissions. */
export const SCHEDULE_COMMAND: readonly string[] = config.tasks.schedule.command.split(" ");

/** A first line that says where the text came from. */
export const GENERATED = "Made by kvtune: deno run tune schedule --emit";

/** Seconds after which a run that does not end is ended: its budget, and time to finish what it is on. */
export function deadlineSeconds({ budget }: Plan): number {
  return Math.ceil(budget.run + budget.problem + 600);
}
