/**
 * The tuned mla_decode kernels of this checkout's results on this CUDA device: time, rates, share of what the device can
 * do, and the baseline's time over it. Every row is checked against the reference before it is timed, cold and
 * interleaved with its baseline.
 *
 * The rows are those that peers publish: 16 and 128 heads, batches from 1 to 128.
 */
import { cuda } from "../kernels/devices/cuda.ts";
import type { OpenDevice } from "../kernels/devices/device.ts";
import { mlaDecode } from "../kernels/mla_decode/kernel.ts";
import { cudaMlaDecode } from "../kernels/mla_decode/cuda/program.ts";
import { floorUs, measureRoofline, type Roofline } from "../kernels/roofline/roofline.ts";
import type { Config } from "../kernels/space.ts";
import { lookup, parseResults, resultsPath } from "../results/mod.ts";
import { median } from "./measure/statistics.ts";
import { digits3 } from "./report/format.ts";
import { tableText } from "./report/table.ts";

const HEADS = [16, 32, 64, 128];
/** [batch, context length] */
const SIZES = [[1, 8192], [1, 32768], [1, 131072], [8, 8192], [8, 32768], [32, 8192], [32, 32768], [128, 4096]];
const NUMBERS = ["heads", "batch", "context", "µs", "GB/s", "TFLOP/s", "of the floor", "× baseline", "rel. error"];

/** The stored config of a problem, where there is one for its very size. */
function storedConfig({ info }: OpenDevice, problem: object, contextLen: number): Config | undefined {
  const path = resultsPath({ kernel: "mla_decode", backend: "cuda", device: info.name, problem: { ...problem } });
  let text;
  try {
    text = Deno.readTextFileSync(new URL(`../results/${path}`, import.meta.url));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const { match, config } = lookup(parseResults(JSON.parse(text)), { smCount: info.smCount, contextLen });
  return match === "exact" ? config : undefined;
}

async function row(device: OpenDevice, roofline: Roofline, heads: number, batch: number, contextLen: number) {
  const problem = mlaDecode.parseProblem({ ...cudaMlaDecode.problemDefaults, heads, batch, contextLens: contextLen });
  const config = storedConfig(device, { heads, batch, kvType: problem.kvType }, contextLen);
  const head = [heads, batch, contextLen].map(String);
  if (!config) return [...head, "no results"];
  const inputs = mlaDecode.inputs(problem, 0);
  const reference = mlaDecode.reference(problem, inputs);
  const session = await device.load(inputs);
  try {
    const built = [];
    let relError = NaN;
    for (const candidate of [cudaMlaDecode.baseline(problem, device.info), config]) {
      built.push(await session.build(cudaMlaDecode.program(problem, candidate, device.info)));
      const check = reference.check(await built.at(-1)!.run(), candidate);
      if (!check.ok) return [...head, `wrong: ${check.why}`];
      relError = check.relError;
    }
    const [base, tuned] = await session.time(built, { samples: 15, sampleUs: 1000, coldCache: true, rested: true });
    const us = median(tuned);
    const work = mlaDecode.work(problem);
    return [
      ...head,
      digits3(us),
      digits3(work.bytes / us / 1e3),
      digits3(work.flops / us / 1e6),
      `${Math.round(100 * floorUs(work, roofline) / us)} %`,
      median(base.map((time, i) => time / tuned[i])).toFixed(2),
      relError.toExponential(1),
    ];
  } finally {
    session.destroy();
  }
}

const [found] = await cuda.list();
if (!found) {
  console.warn("SKIPPED: no CUDA device, so no table of its kernels");
} else {
  const device = await cuda.open(found.index);
  const roofline = await measureRoofline(device);
  const rates = [`reads ${digits3(roofline.bytesPerSecond / 1e9)} GB/s`];
  if (roofline.flops) rates.push(`multiplies f16 at ${digits3(roofline.flops / 1e12)} TFLOP/s`);
  console.log(`${found.name}: ${rates.join(", ")}; mla_decode, FP8 cache, cold:`);
  const rows: string[][] = [];
  for (const heads of HEADS) {
    for (const [batch, contextLen] of SIZES) rows.push(await row(device, roofline, heads, batch, contextLen));
  }
  console.log(tableText(NUMBERS, rows, Object.fromEntries(NUMBERS.map((name) => [name, { right: true }]))));
  const { warnings } = device.readings?.() ?? { warnings: [] };
  for (const warning of warnings) console.warn(warning);
  device.close();
}
