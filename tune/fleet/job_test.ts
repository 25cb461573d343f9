import { deepStrictEqual, match, notStrictEqual, rejects, strictEqual, throws } from "node:assert";
import { kernelNamed } from "../../kernels/registry.ts";
import type { Results } from "../../results/mod.ts";
import { sourceHash } from "../sweep.ts";
import { jobId, parseJob, parseTuneAnswer, type TuneAnswer, type TuneJob } from "./job.ts";
import { simulatedKind, unmeasured } from "./testing/unmeasured.ts";

const DEVICE = simulatedKind(0);
const { backend, name, smCount } = DEVICE;
const JOB: TuneJob = {
  version: 1,
  do: "tune",
  target: { kernel: "mla_decode", device: { backend, name, smCount }, problem: { heads: 16 }, contextLen: 1024 },
  sourceHash: await sourceHash(kernelNamed("mla_decode").implementations.webgpu!),
  search: { strategy: "random", seed: 1, coldCache: true },
  budgetSeconds: 60,
};
const ANSWER: TuneAnswer = { version: 1, worker: "a", device: DEVICE, results: unmeasured(JOB, DEVICE) };

Deno.test("parseJob() reads a job as it was written, and equal jobs have equal ids", async () => {
  deepStrictEqual(await parseJob(JSON.parse(JSON.stringify(JOB))), JOB);
  strictEqual(await jobId(JOB), await jobId(structuredClone(JOB)));
  notStrictEqual(await jobId(JOB), await jobId({ ...JOB, target: { ...JOB.target, contextLen: 2048 } }));
});

const target = (changes: Record<string, unknown>) => ({ ...JOB, target: { ...JOB.target, ...changes } });

/** Each is one change of a good job, and what the refusal says. */
const POISON: [name: string, data: unknown, message: RegExp][] = [
  ["no object", "rm -rf", /^Cannot read the job: the document is "rm -rf", expected/],
  ["an unknown kernel", target({ kernel: "nope" }), /^Cannot find kernel "nope", expected mla_decode/],
  ["a path for a kernel", target({ kernel: "../../etc/passwd" }), /^Cannot find kernel "\.\.\/\.\.\/etc/],
  [
    "code",
    { ...JOB, source: "@compute fn main() {}" },
    /^Cannot read the job: the document has the unknown field "source"/,
  ],
  [
    "another kernel's sources",
    { ...JOB, sourceHash: "0".repeat(64) },
    /its source hash is 0{64}, expected [0-9a-f]{64}/,
  ],
  ["10 MB of fields", { ...JOB, more: "x".repeat(1e7) }, /it has 1\d{7} characters, expected at most 65536/],
  [
    "a backend without the kernel",
    target({ device: { backend: "metal", name, smCount } }),
    /on metal: not implemented/,
  ],
  ["too many heads", target({ problem: { heads: 1000 } }), /heads is 1000, expected an integer from 1 to 128/],
  ["nested fields in a problem", target({ problem: { heads: { $gt: 0 } } }), /target\.problem\.heads is \{"\$gt":0\}/],
  ["a partition larger than the device", target({ partition: 133 }), /Cannot run on 133 SMs of a device with 132/],
  ["a budget without end", { ...JOB, budgetSeconds: 1e9 }, /budgetSeconds is 1000000000, expected/],
];

for (const [name, data, message] of POISON) {
  Deno.test(`parseJob() refuses ${name} in one line`, async () => {
    await rejects(parseJob(data), (error: Error) => {
      match(error.message, message);
      return !error.message.includes("\n") && error.message.length < 500;
    });
  });
}

const entry = (change: (results: Results) => Results) => ({ ...ANSWER, results: change(ANSWER.results) });
const evidence = (changes: Record<string, unknown>) =>
  entry((results) => ({
    ...results,
    evidence: { "132": { "1024": { ...results.evidence["132"]["1024"], ...changes } } },
  }));
const config = (changes: Record<string, number | string>) =>
  entry((results) => ({
    ...results,
    configs: { "132": { "1024": { ...results.configs["132"]["1024"], ...changes } } },
  }));

Deno.test("parseTuneAnswer() reads an answer about its job", () => {
  deepStrictEqual(parseTuneAnswer(JOB, ANSWER), ANSWER);
});

/** Each is one change of an honest answer, and what the refusal says. */
const LIES: [name: string, data: unknown, message: RegExp][] = [
  ["nothing", null, /Cannot read the answer: the document is null, expected/],
  [
    "another device",
    { ...ANSWER, device: simulatedKind(1) },
    /Cannot take results from Simulated device 1: the job is for/,
  ],
  [
    "another device's file",
    entry((results) => ({ ...results, device: { ...results.device, name: "x" } })),
    /results about/,
  ],
  ["a path", entry((results) => ({ ...results, kernel: "../../x" })), /kernel is "\.\.\/\.\.\/x", expected/],
  [
    "another problem",
    entry((results) => ({ ...results, problem: { ...results.problem, name: "x" } })),
    /results about/,
  ],
  [
    "no entry",
    entry((results) => ({ ...results, configs: {}, evidence: {} })),
    /Cannot take results about .*: expected/,
  ],
  ["other sources", evidence({ sourceHash: "x" }), /their source hash is x, expected/],
  ["no time at all", evidence({ us: 0 }), /us is 0, expected a number above 0/],
  ["a config out of range", config({ BLOCK_N: 7 }), /BLOCK_N is 7, expected/],
  ["a parameter that the space has not", config({ TURBO: 1 }), /unknown parameter "TURBO"/],
  ["a baseline of its own", evidence({ baselineConfig: { BLOCK_N: 8 } }), /their baseline is BLOCK_N=8, expected/],
  ["a field of its own", { ...ANSWER, note: "hi" }, /unknown field "note"/],
];

for (const [name, data, message] of LIES) {
  Deno.test(`parseTuneAnswer() refuses ${name}`, () => throws(() => parseTuneAnswer(JOB, data), message));
}
