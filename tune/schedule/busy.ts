/**
 * Whether a device is free for measuring: no other job of kvtune has it, and the driver names no other program on it.
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import type { Backends } from "../backends.ts";
import { problemOf, type Target } from "../plan/targets.ts";
import { Workbench, WorkerSlot } from "../workbench.ts";
import { tryLockDevice } from "./lock.ts";

/** Seconds between two looks at a busy device. */
const LOOK_SECONDS = 15;

/** A device that is ours until disposed, or why there is none. */
export type Claimed = { readonly device: DeviceInfo; readonly lock: Disposable } | { readonly why: string };

/**
 * Claims the first free one of several devices of one kind.
 *
 * @param target What is to be measured: its baseline is run to see who else is on the device.
 */
export async function claimDevice(
  devices: readonly DeviceInfo[],
  target: Target,
  backends: Backends,
): Promise<Claimed> {
  const busy: string[] = [];
  for (const device of devices) {
    const lock = tryLockDevice(device);
    const why = lock ? await otherUse(device, target, backends) : "another kvtune job has it";
    if (lock && why === undefined) return { device, lock };
    lock?.[Symbol.dispose]();
    busy.push(`${device.backend} ${device.index}: ${why}`);
  }
  return { why: busy.join("; ") };
}

/** The same, looking again until a device is free, patience is over or `asked` resolves. */
export async function claimDeviceInTime(
  devices: readonly DeviceInfo[],
  target: Target,
  backends: Backends,
  { patienceSeconds, asked }: { patienceSeconds: number; asked: Promise<void> },
): Promise<Claimed> {
  const until = performance.now() + patienceSeconds * 1000;
  let stopped = false;
  asked.then(() => stopped = true);
  while (true) {
    const claimed = await claimDevice(devices, target, backends);
    const left = until - performance.now();
    if ("device" in claimed || left <= 0 || stopped) return claimed;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(left, LOOK_SECONDS * 1000));
    await Promise.race([promise, asked]);
    clearTimeout(timer);
  }
}

/** What else runs on a device, as its driver says while the target's baseline runs; undefined where nothing is said. */
async function otherUse(device: DeviceInfo, target: Target, backends: Backends): Promise<string | undefined> {
  const slot = new WorkerSlot(backends[device.backend]);
  try {
    const problem = problemOf(target);
    const baseline = kernelNamed(target.kernel).implementations[device.backend]!.baseline(problem, device);
    const workbench = new Workbench(slot, {
      op: "open",
      device: device.index,
      kernel: target.kernel,
      problem,
      seed: 1,
    });
    await workbench.try(baseline);
    const { readings } = await workbench.time([baseline], { samples: 1, sampleUs: 1000, coldCache: false });
    return readings?.warnings.find((warning) => warning.startsWith("busy"));
  } finally {
    await slot.close();
  }
}
