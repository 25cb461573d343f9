/** Results for tests: one by hand, and any that the format allows. */
import fc from "fast-check";
import { type Config, type Evidence, type Replicate, type Results, SCHEMA_REFERENCE } from "../mod.ts";

export function sampleEvidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    us: 20,
    interval: [19, 21],
    samples: 40,
    baselineUs: 30,
    baselineConfig: { BLOCK_N: 32, num_stages: 2, max_kv_splits: 256 },
    speedup: 1.5,
    speedupInterval: [1.4, 1.6],
    relError: 1e-3,
    errors: { lseError: 1e-5 },
    workspaceBytes: 8_404_992,
    gbps: 2000,
    tflops: 50,
    clock: "device",
    coldCache: true,
    partition: false,
    chosen: "tuned",
    toolchain: "nvrtc 13.0",
    driver: "580.159",
    sourceHash: "sha256-abc",
    kvtune: "0.1.0",
    date: "2026-11-22T10:00:00.000Z",
    command: "deno run tune sweep --backend cuda --heads 16",
    ...changes,
  };
}

export function sampleReplicate(changes: Partial<Replicate> = {}): Replicate {
  const { us, interval, samples, baselineUs, speedup, speedupInterval, toolchain, driver, date } = sampleEvidence();
  return { us, interval, samples, baselineUs, speedup, speedupInterval, toolchain, driver, date, ...changes };
}

export const SAMPLE_CONFIG: Config = { BLOCK_N: 64, num_stages: 3, max_kv_splits: 33, pdl: true };

/** Results with the same config and evidence at each size. */
export function sampleResults(
  sizes: readonly (readonly [smCount: number, contextLen: number])[] = [[132, 1024]],
  config: Config = SAMPLE_CONFIG,
  evidence: Evidence = sampleEvidence(),
): Results {
  const configs: Record<string, Record<string, Config>> = {};
  const evidences: Record<string, Record<string, Evidence>> = {};
  for (const [smCount, contextLen] of sizes) {
    (configs[smCount] ??= {})[contextLen] = config;
    (evidences[smCount] ??= {})[contextLen] = evidence;
  }
  return {
    $schema: SCHEMA_REFERENCE,
    schemaVersion: 1,
    kernel: "mla_decode",
    backend: "cuda",
    device: { name: "NVIDIA H200", arch: "sm_90", smCount: 132, software: false },
    problem: { heads: 16, batch: 1, latent: 512, rope: 64, pageSize: 16, kvType: "fp8_e4m3", ioType: "bf16" },
    configs,
    evidence: evidences,
  };
}

const positive = fc.double({ min: 1e-3, max: 1e9, noNaN: true });

const interval = fc.tuple(positive, positive).map(([a, b]): [number, number] => a <= b ? [a, b] : [b, a]);

export const anyConfig: fc.Arbitrary<Config> = fc.record({
  BLOCK_N: fc.constantFrom(16, 32, 64),
  num_stages: fc.integer({ min: 1, max: 4 }),
  max_kv_splits: fc.integer({ min: 1, max: 528 }),
  pdl: fc.boolean(),
}, { requiredKeys: [], noNullPrototype: true });

const anyReplicate = fc.record({ us: positive, interval, speedup: positive, speedupInterval: interval })
  .map(sampleReplicate);

const anyEvidence: fc.Arbitrary<Evidence> = fc.record({
  us: positive,
  interval,
  baselineConfig: anyConfig,
  clock: fc.constantFrom("device", "cpu"),
  sourceHash: fc.constantFrom("a", "b"),
  toolchain: fc.string({ maxLength: 20 }),
  noiseFloor: fc.double({ min: 0, max: 0.5, noNaN: true }),
  seed: fc.nat(),
  readings: fc.dictionary(
    fc.constantFrom("smClockMhz", "powerW", "note"),
    fc.oneof(positive, fc.string({ maxLength: 20 })),
    { noNullPrototype: true },
  ),
  warnings: fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }),
  replicates: fc.array(anyReplicate, { minLength: 2, maxLength: 3 }),
}, {
  requiredKeys: ["us", "interval", "baselineConfig", "clock", "sourceHash", "toolchain", "noiseFloor", "seed"],
  noNullPrototype: true,
}).map(sampleEvidence);

/** Any results about the subject of {@linkcode sampleResults}. */
export const anyResults: fc.Arbitrary<Results> = fc.uniqueArray(
  fc.tuple(fc.constantFrom(8, 66, 132), fc.constantFrom(128, 1024, 4096, 32768), anyConfig, anyEvidence),
  { selector: ([smCount, contextLen]) => `${smCount} ${contextLen}`, maxLength: 8 },
).map((entries) => {
  const table = <T>(pick: (entry: typeof entries[number]) => T) => {
    const bySize: Record<string, Record<string, T>> = {};
    for (const entry of entries) (bySize[entry[0]] ??= {})[entry[1]] = pick(entry);
    return bySize;
  };
  return { ...sampleResults([]), configs: table((entry) => entry[2]), evidence: table((entry) => entry[3]) };
});
