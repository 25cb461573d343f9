/**
 * What the tuner itself costs a candidate, beside compiling and running: a worker process that answers at once, the real
 * protocol, and a journal on the disk. Prints the median over 500 candidates, and the ratio to one request and its reply.
 */
import type { Implementation } from "../kernels/kernel.ts";
import { type CandidateContext, measureCandidate, tryBaseline } from "./candidate.ts";
import { Journal } from "./journal.ts";
import { median } from "./measure/statistics.ts";
import { simulatedBackends } from "./testing/simulated_backends.ts";
import { SIMULATED_DEVICE, simulatedIdentity } from "./testing/simulated_device.ts";
import { Workbench, WorkerSlot } from "./workbench.ts";

const CANDIDATES = 500;
const BASELINE = { BLOCK_N: 0 };

const identity = simulatedIdentity("mla_decode");
const folder = Deno.makeTempDirSync({ prefix: "kvtune-" });
const journal = Journal.open(`${folder}/journal.db`);
globalThis.addEventListener("unload", () => {
  journal[Symbol.dispose]();
  Deno.removeSync(folder, { recursive: true });
});

const slot = new WorkerSlot(simulatedBackends({ noise: 0.02 }).webgpu); // It ends with this process.
const workbench = new Workbench(slot, { op: "open", device: 0, kernel: "mla_decode", problem: {}, seed: 1 });
const context: CandidateContext = {
  implementation: { workspaceBytes: () => 1024 } as unknown as Implementation<unknown>,
  problem: {},
  device: SIMULATED_DEVICE,
  workbench,
  coldCache: true,
};
await tryBaseline(context, BASELINE);

let next = 1;
async function candidate(): Promise<void> {
  const row = await measureCandidate(context, { BLOCK_N: next++ }, BASELINE, 1.2);
  journal.addCandidate("task", identity, row);
}

const costs: number[] = [];
for (let i = 0; i < CANDIDATES; i++) {
  const started = performance.now();
  await candidate();
  costs.push(performance.now() - started);
}
console.log(`The tuner's own cost a candidate: ${median(costs).toFixed(2)} ms (median of ${CANDIDATES}, bar 2 ms)`);

Deno.bench({
  name: "one request to a worker and its reply",
  group: "candidate",
  baseline: true,
  fn: async () => void await (await slot.worker(workbench.request)).worker.request({ op: "drop", configs: [] }),
});
Deno.bench({ name: "a candidate, from try to journal", group: "candidate", fn: candidate });
