/**
 * What earlier tasks teach a new one: the best configs of the nearest problems on the nearest devices to begin with, and what
 * the nearest of all measured.
 *
 * @module
 */
import { brokenConstraint, type Config, configKey, type Param, type ParamValue, type Space } from "../kernels/space.ts";
import type { Results } from "../results/mod.ts";
import { type Journal, type TaskIdentity, taskKey } from "./journal.ts";
import type { Told } from "./search/strategy.ts";

/** Tasks that teach, and configs of each. */
const TEACHERS = 3;
const LESSONS = 4;

/** How far another device lies, beside a doubling of a length. */
const OTHER_DEVICE = 8;

/** How far a task may lie whose measurements are believed here. */
const NEAR = 3;

/** Another task in the journal, and how far its sizes and its device lie, in doublings. */
export interface OtherTask {
  readonly key: string;
  readonly identity: TaskIdentity;
  readonly distance: number;
}

/** What was measured in another task, each config as the space at hand has it. */
export interface TaughtTask {
  readonly problem: unknown;
  readonly smCount: number;
  readonly rows: readonly Told[];
}

/** Other tasks of the same kernel and backend, the nearest first. */
export async function otherTasks(journal: Journal, identity: TaskIdentity): Promise<OtherTask[]> {
  const own = await taskKey(identity);
  return journal.tasks()
    .filter((task) => task.key !== own && task.identity.kernel === identity.kernel)
    .filter((task) => task.identity.backend === identity.backend)
    .map((task) => ({ ...task, distance: distance(task.identity, identity) }))
    .sort((a, b) => a.distance - b.distance);
}

/**
 * Configs to begin a task with, the most promising first: the best of the nearest tasks in the journal, and those given.
 *
 * @param tasks As {@linkcode otherTasks} gives them.
 * @param given Configs from elsewhere, such as a results file; they and the nearest task's come in turn.
 */
export function lessons(
  journal: Journal,
  tasks: readonly OtherTask[],
  space: Space,
  given: readonly Config[] = [],
): Config[] {
  const [nearest = [], ...others] = tasks.slice(0, TEACHERS).map(({ key }) =>
    [...journal.candidates(key).values()].filter(({ cost }) => cost !== undefined)
      .sort((a, b) => a.cost! - b.cost!).slice(0, LESSONS).map(({ config }) => config)
  );
  // In turn: given ones may be of this very problem, and where evaluations are dear only the first few are measured.
  const both = Array.from({ length: LESSONS }, (_, i) => [...given.slice(i, i + 1), ...nearest.slice(i, i + 1)]).flat();
  const ranked = [...both, ...given.slice(LESSONS), ...others.flat()];
  const fitting = ranked.map((config) => fitted(space, config)).filter((config) => config !== undefined);
  return [...new Map(fitting.map((config) => [configKey(config), config])).values()];
}

/** What the nearest task measured, where it lies near enough. */
export function taught(
  journal: Journal,
  [nearest]: readonly OtherTask[],
  space: Space,
): TaughtTask | undefined {
  if (!nearest || nearest.distance > NEAR) return undefined;
  const rows = new Map<string, Told>();
  for (const { config: measured, cost } of journal.candidates(nearest.key).values()) {
    const config = fitted(space, measured);
    if (!config) continue;
    // Of several that are one here, the best: it is nearest to what that one would have been there.
    const known = rows.get(configKey(config));
    if (!known || (cost ?? Infinity) < (known.cost ?? Infinity)) rows.set(configKey(config), { config, cost });
  }
  const { problem, device: { smCount } } = nearest.identity;
  return { problem, smCount, rows: [...rows.values()] };
}

/** The configs of a results file, those of the nearest SM counts and context lengths first. */
export function configsOf({ configs }: Pick<Results, "configs">, smCount: number, contextLen: number): Config[] {
  return Object.entries(configs)
    .flatMap(([sms, byContext]) =>
      Object.entries(byContext).map(([context, config]) => ({
        config,
        distance: doublings(Number(sms), smCount) + doublings(Number(context), contextLen),
      }))
    )
    .sort((a, b) => a.distance - b.distance)
    .slice(0, LESSONS)
    .map(({ config }) => config);
}

/** Doublings between two tasks' sizes, and more for another device. */
function distance(a: TaskIdentity, b: TaskIdentity): number {
  const device = a.device.name === b.device.name ? 0 : OTHER_DEVICE;
  return device + doublings(a.device.smCount, b.device.smCount) + problemDistance(a.problem, b.problem);
}

function problemDistance(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return doublings(a, b);
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null) {
    const [left, right] = [a, b] as Record<string, unknown>[];
    const names = new Set([...Object.keys(left), ...Object.keys(right)]);
    // Lists by their first item: a batch's requests are one size, not many.
    if (Array.isArray(a) && Array.isArray(b)) return problemDistance(a[0], b[0]) + doublings(a.length, b.length);
    return [...names].reduce((sum, name) => sum + problemDistance(left[name], right[name]), 0);
  }
  return a === b ? 0 : 1;
}

function doublings(a: number, b: number): number {
  return Math.abs(Math.log2(Math.max(a, 1e-9) / Math.max(b, 1e-9)));
}

/**
 * The config with the nearest values that the space has, where it admits them.  A parameter that the config's own space did
 * not have, as `probabilities` before a class of accuracy admitted two, takes its first value.
 */
export function fitted(space: Space, config: Config): Config | undefined {
  const entries: [string, ParamValue][] = [];
  for (const param of space.params) {
    const value = nearestValue(param, config[param.name]);
    if (value === undefined) return undefined;
    entries.push([param.name, value]);
  }
  const found = Object.fromEntries(entries);
  return brokenConstraint(space, found) ? undefined : found;
}

function nearestValue({ values }: Param, wanted: ParamValue | undefined): ParamValue | undefined {
  if (wanted === undefined) return values[0];
  if (values.includes(wanted)) return wanted;
  if (typeof wanted !== "number") return values.length === 1 ? values[0] : undefined;
  const numbers = values.filter((value) => typeof value === "number");
  return numbers.sort((a, b) => doublings(a, wanted) - doublings(b, wanted))[0];
}
