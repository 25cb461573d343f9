/**
 * Runs drawn configs of every path once, on small ragged problems: what Compute Sanitizer is put around. Instrumented
 * kernels take a thousand times as long, so nothing is timed and each problem is as small as its corner cases allow.
 *
 * ```sh
 * compute-sanitizer --tool memcheck --error-exitcode 3 \
 *   deno run --no-prompt --allow-read --allow-write --allow-env --allow-ffi kernels/mla_decode/cuda/sanitize.ts
 * ```
 */
import { cuda } from "../../devices/cuda.ts";
import { randomSource } from "../../random_source.ts";
import { configKey } from "../../space.ts";
import { mlaDecode } from "../kernel.ts";
import { parseProblem } from "../problem.ts";
import { reference } from "../reference.ts";
import { cudaMlaDecode } from "./program.ts";
import { CLUSTERS, drawConfigs } from "./testing.ts";

/** Configs of a path on each problem. */
const PER_PATH = 2;
/** Empty requests, single tokens, whole tiles, and more tiles than a ring of slots has. */
const RAGGED = [700, 0, 1, 64, 65, 129];
const CASES = [
  { fields: { heads: 16, contextLens: RAGGED } },
  { fields: { heads: 128, contextLens: RAGGED, kvScale: 0.5 } },
  { fields: { heads: 128, contextLens: RAGGED }, only: CLUSTERS },
  { fields: { heads: 20, contextLens: [1500], pageSize: 1 } },
  { fields: { heads: 64, contextLens: RAGGED, kvType: "bf16", sinks: true } },
];

const [found] = await cuda.list();
if (!found) {
  console.error("kvtune: sanitize needs a CUDA device, and none was found");
  Deno.exit(1);
}
const device = await cuda.open(found.index);
const random = randomSource(1);
let wrong = 0;
for (const { fields, only } of CASES) {
  const problem = parseProblem({ ioType: "bf16", ...fields, batch: fields.contextLens.length });
  const inputs = mlaDecode.inputs(problem, 0);
  const expected = reference(problem, inputs);
  const session = await device.load(inputs);
  for (const config of drawConfigs(problem, device.info, PER_PATH, random, only)) {
    const program = await session.build(cudaMlaDecode.program(problem, config, device.info));
    const check = expected.check(await program.run(), config);
    program.destroy();
    if (!check.ok) wrong++;
    console.log(`${check.ok ? "right" : `wrong (${check.why})`}: ${problem.heads} heads, ${configKey(config)}`);
  }
  session.destroy();
}
device.close();
if (wrong > 0) Deno.exit(1);
