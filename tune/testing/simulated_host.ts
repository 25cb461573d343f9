/** A worker within the process, for tests that take hundreds of sweeps. */
import type { Replies, RequestBody } from "../worker/protocol.ts";
import { type Worker, WorkerFailure } from "../worker/host.ts";
import { SimulatedDevice, SimulatedFault, type SimulationPlan } from "./simulated_device.ts";

/** Answers at once; a hang is a timeout without the wait. */
export class SimulatedHost implements Worker {
  alive = true;

  constructor(readonly device: SimulatedDevice) {}

  // deno-lint-ignore require-await -- what is thrown rejects, as a process's failures do
  async request<Op extends keyof Replies>(body: RequestBody & { op: Op }): Promise<Replies[Op]> {
    if (!this.alive) throw new WorkerFailure("crash", "the worker was ended", true);
    try {
      return this.device.answer(body) as Replies[Op];
    } catch (error) {
      if (!(error instanceof SimulatedFault)) throw error;
      this.alive = !(error.fatal || error.outcome === "crash" || error.outcome === "timeout");
      throw new WorkerFailure(error.outcome, error.message, !this.alive);
    }
  }

  kill(): void {
    this.alive = false;
  }

  close(): Promise<void> {
    this.alive = false;
    return Promise.resolve();
  }
}

/** Starts workers over one device, which lives on when a worker ends. */
export function simulatedWorkers(plan: SimulationPlan): { device: SimulatedDevice; start: () => Worker } {
  const device = new SimulatedDevice(plan);
  return { device, start: () => new SimulatedHost(device) };
}
