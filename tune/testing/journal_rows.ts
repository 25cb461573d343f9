/** A journal's task and rows, for tests of what reads them. */
import type { CandidateRow, TaskIdentity } from "../journal.ts";

/** A task on the simulated device. */
export const IDENTITY: TaskIdentity = {
  kernel: "mla_decode",
  sourceHash: "0".repeat(64),
  backend: "webgpu",
  device: { name: "Simulated device", arch: "sim", driver: "1.0", smCount: 4 },
  problem: { heads: 16, batch: 1, contextLens: [256] },
  seed: 1,
  coldCache: true,
};

const CONFIG = {
  BLOCK_N: 32,
  num_stages: 2,
  BLOCK_H: 16,
  buffers: 1,
  threads: 128,
  qk_tile: "4x4",
  slice_rounds: 1,
  pv_quads: 1,
  ACC: "f32",
  merge_shape: "32x8",
  schedule: "served",
};

const ROW: Omit<CandidateRow, "config" | "outcome"> = {
  samples: [],
  baselineSamples: [],
  errors: {},
  build: {},
  workspaceBytes: 1024,
  spentMs: 5,
};

/** Two that ran, one that did not compile, one that broke a constraint. */
export const CANDIDATES: readonly CandidateRow[] = [
  {
    ...ROW,
    config: { ...CONFIG, max_kv_splits: 2 },
    outcome: "ok",
    cost: 1.25,
    samples: [125, 124, 126],
    baselineSamples: [100, 100, 100],
    compileMs: 3,
  },
  {
    ...ROW,
    config: { ...CONFIG, max_kv_splits: 4 },
    outcome: "ok",
    cost: 0.8,
    samples: [80, 80, 80],
    baselineSamples: [100, 100, 100],
    compileMs: 3,
  },
  { ...ROW, config: { ...CONFIG, max_kv_splits: 8 }, outcome: "compile", message: "no" },
  { ...ROW, config: { ...CONFIG, max_kv_splits: 1 }, outcome: "constraint", message: "no" },
];
