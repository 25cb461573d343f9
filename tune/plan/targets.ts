/**
 * From a plan to targets: one problem at one context length on one device or partition, which is what can be stale, and
 * what is tuned as one.
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { deviceSlug, resultsPath, type Size } from "../../results/mod.ts";
import type { SweepSettings } from "../settings.ts";
import type { DeviceSelector, Plan, PlanEntry } from "./plan.ts";
import type { OpenRequest } from "../worker/protocol.ts";

/** What tells one kind of device from another: results of one serve all others of its kind. */
export interface DeviceType {
  readonly backend: string;
  readonly name: string;
  /** Multiprocessors of the whole device. */
  readonly smCount: number;
}

/** One problem at one context length on one kind of device. */
export interface Target {
  readonly kernel: string;
  readonly device: DeviceType;
  /** SMs of a partition; absent for the whole device. */
  readonly partition?: number;
  /** The kernel's problem, without context lengths. */
  readonly problem: Readonly<Record<string, unknown>>;
  readonly contextLen: number;
}

/** Where a target's result is: the file below the results folder, and its size in there. */
export interface Place {
  readonly path: string;
  readonly size: Size;
}

/** Whether a device is of the kind that a selector means. */
export function selects({ backend, name, smCount }: DeviceSelector, device: DeviceType): boolean {
  return (backend ?? device.backend) === device.backend && (smCount ?? device.smCount) === device.smCount &&
    (name === undefined || deviceSlug(name) === deviceSlug(device.name));
}

/** A selector that names one kind of device: it means that kind also where nobody has one. */
export function namedType({ backend, name, smCount }: DeviceSelector): DeviceType | undefined {
  return backend !== undefined && name !== undefined && smCount !== undefined ? { backend, name, smCount } : undefined;
}

/** One text for a kind of device, which folders and queues can have in their names. */
export function typeKey({ backend, name, smCount }: DeviceType): string {
  return `${backend}.${deviceSlug(name)}.${smCount}`;
}

/**
 * The targets of a plan on the devices that there are, each once, in the plan's order. Partitions larger than a device
 * and kernels that its backend lacks are left out.
 */
export function targetsOf(plan: Plan, devices: readonly DeviceType[]): Target[] {
  const targets = new Map<string, Target>();
  for (const entry of plan.tune) {
    for (const device of devicesOf(entry, devices)) {
      if (!kernelNamed(entry.kernel).implementations[device.backend]) continue;
      for (const target of targetsOn(entry, device)) targets.set(JSON.stringify(target), target);
    }
  }
  return [...targets.values()];
}

function devicesOf(entry: PlanEntry, devices: readonly DeviceType[]): DeviceType[] {
  const types = new Map<string, DeviceType>();
  for (const selector of entry.devices) {
    const named = namedType(selector);
    const found = devices.filter((device) => selects(selector, device));
    for (const device of found.length === 0 && named ? [named] : found) {
      const { backend, name, smCount } = device;
      types.set(typeKey(device), { backend, name, smCount });
    }
  }
  return [...types.values()];
}

function targetsOn({ kernel, problems, contexts, smCounts }: PlanEntry, device: DeviceType): Target[] {
  const partitions = smCounts?.filter((smCount) => smCount <= device.smCount) ?? [undefined];
  return problems.flatMap((problem) =>
    partitions.flatMap((partition) =>
      contexts.map((contextLen) => ({
        kernel,
        device,
        ...(partition !== undefined && { partition }),
        problem,
        contextLen,
      }))
    )
  );
}

/** Where the result of a target is. */
export function placeOf({ kernel, device, partition, problem, contextLen }: Target): Place {
  const parsed = problemOf({ kernel, device, problem, contextLen });
  const { problemName, contextLen: contextOf } = kernelNamed(kernel);
  return {
    path: resultsPath({ kernel, backend: device.backend, device: device.name, problem: problemName(parsed) }),
    size: { smCount: partition ?? device.smCount, contextLen: contextOf(parsed) },
  };
}

/** The kernel's own form of a target's problem, its backend's defaults filled in. */
export function problemOf({ kernel, device, problem, contextLen }: Omit<Target, "partition">): unknown {
  const { parseProblem, implementations } = kernelNamed(kernel);
  const defaults = implementations[device.backend]?.problemDefaults;
  return parseProblem({ ...defaults, ...problem, contextLens: contextLen });
}

/** A target in a few words: "mla_decode heads16-batch1-fp8_e4m3, context 1024, 132 SMs of NVIDIA H200 (cuda)". */
export function targetText(target: Target): string {
  const { kernel, device } = target;
  const { size } = placeOf(target);
  const name = kernelNamed(kernel).problemName(problemOf(target));
  return `${kernel} ${name}, context ${size.contextLen}, ${size.smCount} SMs of ${device.name} (${device.backend})`;
}

/** The sweep of one target, or of several that differ in their context alone. */
export function settingsOf(
  targets: readonly [Target, ...Target[]],
  { search, device, budgetSeconds, resultsDir }: {
    search: Plan["search"];
    /** Position in the backend's list of devices. */
    device: number;
    budgetSeconds: number;
    resultsDir: string;
  },
): SweepSettings {
  const [{ kernel, device: { backend }, partition, problem }] = targets;
  return {
    kernel,
    backend,
    device,
    ...(partition !== undefined && { smCounts: [partition] }),
    problem,
    contexts: targets.map(({ contextLen }) => contextLen),
    budgetSeconds,
    ...search,
    resultsDir,
    command: "",
  };
}

/** What a worker is asked to open for a target on a device that the target names. */
export function openRequest(target: Target, device: DeviceInfo, seed: number): OpenRequest {
  return {
    op: "open",
    device: device.index,
    ...(target.partition !== undefined && { smCount: target.partition }),
    kernel: target.kernel,
    problem: problemOf(target),
    seed,
  };
}
