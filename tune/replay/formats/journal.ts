/**
 * kvtune's own journals: one recording for each task.
 *
 * @module
 */
import type { DeviceInfo } from "../../../kernels/devices/device.ts";
import { kernelNamed } from "../../../kernels/registry.ts";
import { type CandidateRow, Journal, type TaskIdentity } from "../../journal.ts";
import { paramsOf, type Recorded } from "../recording.ts";

/** A task of a journal with its candidates. */
export interface JournalTask {
  readonly name: string;
  readonly identity: TaskIdentity;
  readonly rows: readonly CandidateRow[];
}

/** Every task of a journal that has candidates. @throws {UsageError} Where the file is no journal. */
export function journalTasks(path: string): JournalTask[] {
  using journal = Journal.open(path, { mustExist: true });
  return journal.tasks().map(({ key, identity }) => {
    const rows = [...journal.candidates(key).values()];
    return { name: taskName(identity), identity, rows };
  }).filter(({ rows }) => rows.length > 0);
}

/** "mla_decode cuda NVIDIA H200 132 SMs heads16-batch1-fp8_e4m3 8192" */
function taskName({ kernel: name, backend, device, problem }: TaskIdentity): string {
  const kernel = kernelNamed(name);
  const parsed = kernel.parseProblem(problem);
  const what = `${kernel.problemName(parsed)} ${kernel.contextLen(parsed)}`;
  return `${name} ${backend} ${device.name} ${device.smCount} SMs ${what}`;
}

/** A task as a recording: costs are shares of the baseline's time. */
export function recordedTask({ name, identity, rows }: JournalTask): Recorded {
  const admitted = rows.filter(({ outcome }) => outcome !== "constraint");
  const cheap = cheapParams(identity);
  return {
    name,
    device: identity.device.name,
    params: paramsOf(admitted.map(({ config }) => config))
      .map((param) => ({ ...param, recompiles: !cheap.has(param.name) })),
    entries: admitted.map(({ config, cost }) => ({ config, cost })),
  };
}

/** Parameters whose change needs no compile, as the kernel has them now. */
function cheapParams({ kernel: name, backend, device, problem }: TaskIdentity): ReadonlySet<string> {
  const kernel = kernelNamed(name);
  // Which parameters need no compile depends on neither limits nor features.
  const info: DeviceInfo = {
    ...device,
    backend,
    index: 0,
    smCountSource: "given",
    software: false,
    limits: {},
    features: [],
  };
  const space = kernel.implementations[backend]?.space(kernel.parseProblem(problem), info);
  return new Set(space?.params.filter(({ recompiles }) => !recompiles).map(({ name }) => name));
}
