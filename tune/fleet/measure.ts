/**
 * How a worker measures: the same sweep and the same verification as on one host, on one of its own devices.
 *
 * @module
 */
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { configKey } from "../../kernels/space.ts";
import type { Results } from "../../results/mod.ts";
import type { Backends } from "../backends.ts";
import { FailureError } from "../errors.ts";
import { type CandidateRow, Journal, taskKey } from "../journal.ts";
import { openRequest, placeOf, problemOf } from "../plan/targets.ts";
import { type Verification, verifyEntry } from "../schedule/drift.ts";
import type { GracefulStop } from "../schedule/graceful_stop.ts";
import { tuneTargets } from "../schedule/tune_targets.ts";
import { taskIdentity } from "../sweep.ts";
import { Workbench, WorkerSlot } from "../workbench.ts";
import type { CheckJob, TuneJob } from "./job.ts";

/** The share by which another device of the same model may differ in a winner's speed-up. */
const TOLERANCE = 0.1;

/** Keeps the rows of a job outside this process. */
export interface RowStore {
  /** The rows of earlier attempts at the task. */
  load(task: string): Promise<readonly CandidateRow[]>;
  /** Keeps a row of the task. */
  add(task: string, row: CandidateRow): void;
}

/** Measures jobs on a device. */
export interface Measure {
  /** Results with one entry, or undefined where a stop came first. */
  tune(job: TuneJob, device: DeviceInfo, rows: RowStore, stop: GracefulStop): Promise<Results | undefined>;
  check(job: CheckJob, device: DeviceInfo, stop: GracefulStop): Promise<Verification>;
}

/** Measures on this host's devices, in worker processes. */
export function deviceMeasure(backends: Backends): Measure {
  return {
    async tune({ target, search, budgetSeconds }, device, rows, stop) {
      const { size: { smCount } } = placeOf(target);
      const kernel = kernelNamed(target.kernel);
      const identity = await taskIdentity(kernel, problemOf(target), { ...device, smCount }, search);
      const task = await taskKey(identity);
      using journal = Journal.open(":memory:"); // The truth of a fleet's job is in Redis.
      const earlier = await rows.load(task);
      for (const row of earlier) journal.addCandidate(task, identity, row);
      const known = new Set(earlier.map(({ config }) => configKey(config)));
      const report = await tuneTargets([target], {
        search,
        device: device.index,
        budgetSeconds,
        backends,
        journal,
        stop,
        onCandidate: (row) => known.has(configKey(row.config)) || rows.add(task, row),
      });
      const [row] = report.rows;
      if (row?.results) return row.results;
      if (stop.requested) return undefined;
      throw new FailureError(row?.error ?? "the sweep ended without a result");
    },

    async check({ target, search, results }, device, stop) {
      const { size: { smCount, contextLen } } = placeOf(target);
      const slot = new WorkerSlot(backends[device.backend]);
      const kill = () => slot.kill();
      stop.signal.addEventListener("abort", kill);
      try {
        const workbench = new Workbench(slot, openRequest(target, device, search.seed));
        const entry = {
          config: results.configs[smCount][contextLen],
          evidence: results.evidence[smCount][contextLen],
        };
        return await verifyEntry(workbench, entry, TOLERANCE);
      } finally {
        stop.signal.removeEventListener("abort", kill);
        await slot.close();
      }
    },
  };
}
