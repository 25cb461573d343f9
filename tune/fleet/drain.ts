/** Empties a fleet's queues. */
import { type Fleet, PLANS } from "./fleet.ts";

/** What was removed, and what goes on. */
export interface Drained {
  readonly removed: number;
  /** Jobs in progress: they end, and their results can be collected. */
  readonly active: number;
  readonly recurring: number;
}

/** Removes every job that no worker has begun, and recurring plans where asked. */
export async function drain(fleet: Fleet, { recurring }: { recurring: boolean }): Promise<Drained> {
  let [removed, active, schedulers] = [0, 0, 0];
  for (const kind of (await fleet.kinds()).keys()) {
    const queue = fleet.queue(kind);
    const before = await queue.getJobCounts();
    await queue.drain(true);
    const after = await queue.getJobCounts();
    removed += before.wait + before.delayed + before.prioritized - after.wait - after.delayed - after.prioritized;
    active += after.active;
  }
  if (recurring) {
    const plans = fleet.queue(PLANS);
    for (const { key } of await plans.getJobSchedulers()) if (await plans.removeJobScheduler(key)) schedulers++;
  }
  return { removed, active, recurring: schedulers };
}
