import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert";
import type { Results } from "../mod.ts";
import { sampleEvidence, sampleResults } from "../results/testing/samples.ts";
import { compare } from "./compare.ts";
import { inFolder, simulated } from "./testing/command.ts";

/** Parameters that every backend has. */
const CONFIG = { BLOCK_N: 64, num_stages: 3, max_kv_splits: 33 };

/** Results of one entry that takes `us`, give or take 5 %. */
function taking(us: number, changes: Partial<Results> = {}, size: [number, number] = [132, 1024]): Results {
  const evidence = sampleEvidence({ us, interval: [0.95 * us, 1.05 * us], partition: size[0] < 132 });
  return { ...sampleResults([size], CONFIG, evidence), ...changes };
}

Deno.test("compare() gives the ratio to the first file, and whether the intervals overlap", () => {
  const { rows: [{ cells }], notes } = compare([taking(100), taking(50), taking(108)]);
  strictEqual(cells[0]!.ratio, undefined);
  strictEqual(cells[1]!.ratio, 2);
  ok(Math.abs(cells[1]!.ratioInterval![0] - 95 / 52.5) < 1e-12);
  deepStrictEqual(cells.map((cell) => cell!.overlaps), [undefined, false, true]);
  deepStrictEqual(notes, []);
});

Deno.test("compare() lets whole devices meet whatever their SM counts, and partitions at equal ones", () => {
  const other = { device: { name: "NVIDIA L40S", arch: "sm_89", smCount: 142, software: false } };
  const { rows } = compare([taking(100), taking(80, other, [142, 1024]), taking(300, {}, [66, 1024])]);
  deepStrictEqual(
    rows.map(({ partition, contextLen, cells }) => [partition, contextLen, ...cells.map((cell) => cell?.us)]),
    [[null, 1024, 100, 80, undefined], [66, 1024, undefined, undefined, 300]],
  );
});

Deno.test("compare() keeps sizes that one file lacks", () => {
  const { rows } = compare([taking(100), taking(80, {}, [132, 4096])]);
  deepStrictEqual(rows.map(({ cells }) => cells.map((cell) => cell?.us ?? null)), [[100, null], [null, 80]]);
});

Deno.test("compare() leaves out what a file lacks where only common sizes are wanted", () => {
  const { rows } = compare([
    taking(100),
    { ...taking(80), ...sampleResults([[132, 1024], [132, 4096]], CONFIG) },
  ], { common: true });
  deepStrictEqual(rows.map(({ contextLen }) => contextLen), [1024]);
});

Deno.test("compare() names what the files differ in, but not the sources of different backends", () => {
  const evidence = { "132": { "1024": sampleEvidence({ sourceHash: "other", clock: "cpu" }) } };
  const changes = { evidence, problem: { ...sampleResults().problem, heads: 128 } };
  deepStrictEqual(compare([sampleResults(), { ...sampleResults(), ...changes }]).notes, [
    "problem.heads: 16, 128",
    "clock: device, cpu",
    "sourceHash: sha256-abc, other",
  ]);
  deepStrictEqual(compare([sampleResults(), { ...sampleResults(), backend: "webgpu", evidence }]).notes, [
    "clock: device, cpu",
  ]);
});

Deno.test("compare() refuses files of several kernels", () => {
  throws(
    () => compare([taking(100), taking(100, { kernel: "mla_extend" })]),
    /^RangeError: Cannot compare results of mla_decode and mla_extend: expected one kernel$/,
  );
});

Deno.test(
  "tune compare shows files side by side, and --json gives the same as data",
  inFolder(async (folder) => {
    const sources = [taking(100), taking(50, { backend: "webgpu" }), taking(108)].map((results, i) => {
      Deno.writeTextFileSync(`${folder}/${i}.json`, JSON.stringify(results));
      return `${folder}/${i}.json`;
    });
    const { code, stdout, stderr } = await simulated(["compare", ...sources]);
    strictEqual(code, 0, stderr);
    match(stdout, /^A {2}NVIDIA H200 \(cuda\).*0\.json\nB {2}NVIDIA H200 \(webgpu\).*1\.json\nC /);
    match(stdout, /132 .* 1024 .* 100 \[95\.0, 105\] .* 50\.0 \[47\.5, 52\.5\] .* 2\.00× \[1\.81, 2\.21\] .* ≈/);
    const { files, rows } = JSON.parse((await simulated(["compare", ...sources, "--json"])).stdout);
    deepStrictEqual(files.map(({ backend }: Results) => backend), ["cuda", "webgpu", "cuda"]);
    strictEqual(rows[0].cells[1].ratio, 2);
    const { stdout: wide } = await simulated(["compare", ...sources, "--baselines"]);
    strictEqual(rows[0].cells[0].baselineUs, 30);
    ok(wide.includes("│ 30.0 (1.50×) │"), wide);
  }),
);

Deno.test(
  "tune compare answers bad input with one line",
  inFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/a.json`, JSON.stringify(taking(100)));
    Deno.writeTextFileSync(`${folder}/bad.json`, JSON.stringify({ ...taking(100), schemaVersion: 9 }));
    const cases: [string[], RegExp, number][] = [
      [["a.json"], /^error: Cannot compare ".*a.json" alone: expected two files or more\n$/, 2],
      [["a.json", "bad.json"], /^error: Cannot read results from ".*bad.json": schemaVersion is 9, expected 1\n$/, 1],
      [
        ["a.json", "none.json"],
        /^error: Cannot read results from ".*none.json": no such file, expected a results file, or its URL\n$/,
        2,
      ],
    ];
    for (const [names, message, exit] of cases) {
      const { code, stderr, stdout } = await simulated(["compare", ...names.map((name) => `${folder}/${name}`)]);
      match(stderr, message);
      deepStrictEqual([code, stdout], [exit, ""]);
    }
  }),
);
