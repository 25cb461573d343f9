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
    const before = await fleet.counts(kind);
    await fleet.queue(kind).drain(true);
    const after = await fleet.counts(kind);
    removed += before.waiting + before.delayed - after.waiting - after.delayed;
    active += after.active;
  }
  if (recurring) {
    const plans = fleet.queue(PLANS);
    for (const { key } of await plans.getJobSchedulers()) if (await plans.removeJobScheduler(key)) schedulers++;
  }
  return { removed, active, recurring: schedulers };
}
