/**
 * The CUDA sources under NVRTC, which needs no GPU. By default a sample of the programs of each default space is
 * compiled; `KVTUNE_COMPILE=all` compiles all of them for FP8 caches (minutes), as CI does.
 */
import assert from "node:assert/strict";
import type { CudaLaunch, CudaProgram, DeviceInfo } from "../../devices/device.ts";
import { kernelReports, Nvrtc } from "../../devices/cuda/nvrtc.ts";
import { LibraryError } from "../../devices/cuda/errors.ts";
import { brokenConstraint, type Config, configs } from "../../space.ts";
import { parseProblem } from "../problem.ts";
import { cudaMlaDecode } from "./program.ts";
import { storedForH200 } from "../testing.ts";
import { testDevice } from "./testing.ts";

const ALL = Deno.env.get("KVTUNE_COMPILE") === "all";
/** Programs of a space that are compiled by default, spread over it. */
const SAMPLE = 8;
/** ptxas keeps a word or two on the stack where a register cap binds. */
const MAX_SPILL_BYTES = 8;
/** Compiles under way at once: NVRTC runs each on a thread. */
const AT_ONCE = 4;

const nvrtc = (() => {
  try {
    return Nvrtc.find(13);
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    console.error("SKIPPED: no NVRTC on this machine, so the CUDA sources are not compiled");
  }
})();

/** Each distinct compilation that some admitted config of the space needs. */
function distinctLaunches(fields: Record<string, unknown>, device: DeviceInfo): CudaLaunch[] {
  const problem = parseProblem({ contextLens: 8192, ioType: "bf16", ...fields });
  const space = cudaMlaDecode.space(problem, device);
  // The last parameter, the splits, and which stage 2 goes with which stage 1 change no compilation.
  const short = { ...space, params: space.params.map((param) => param.recompiles ? param : { ...param, values: [2] }) };
  const launches = new Map<string, CudaLaunch>();
  for (const config of configs(short)) {
    for (const launch of (cudaMlaDecode.program(problem, config, device) as CudaProgram).launches) {
      launches.set(launch.entryPoint + JSON.stringify(launch.defines), launch);
    }
  }
  return [...launches.values()];
}

async function compile(launch: CudaLaunch, capability: [number, number]) {
  const defines = Object.entries(launch.defines).map(([name, value]) => `-D${name}=${value}`);
  const unit = { label: launch.label, source: launch.source, headers: launch.headers };
  const { log } = await nvrtc!.compile({ ...unit, options: [...nvrtc!.options(...capability), ...defines] });
  return { launch, report: kernelReports(log).get(launch.entryPoint)! };
}

/** Compiles every one, a few at a time. */
async function compileAll(launches: readonly CudaLaunch[], capability: [number, number]) {
  const done: Awaited<ReturnType<typeof compile>>[] = [];
  for (let at = 0; at < launches.length; at += AT_ONCE) {
    done.push(...await Promise.all(launches.slice(at, at + AT_ONCE).map((launch) => compile(launch, capability))));
  }
  return done;
}

const CASES: [capability: [number, number], fields: Record<string, unknown>][] = [
  [[8, 0], { heads: 16 }],
  [[8, 9], { heads: 20 }],
  [[8, 9], { heads: 16, kvType: "bf16" }],
  [[9, 0], { heads: 16 }],
  [[9, 0], { heads: 32 }],
  [[9, 0], { heads: 128 }],
  [[9, 0], { heads: 64, kvType: "bf16", ioType: "f16", logitCap: 30, sinks: true }],
  [[10, 0], { heads: 128 }],
  [[12, 0], { heads: 7, sinks: true }],
];

for (const [capability, fields] of CASES) {
  Deno.test({
    name: `mla_decode on CUDA compiles for compute capability ${capability.join(".")} with ${JSON.stringify(fields)}`,
    ignore: nvrtc === undefined,
    fn: async () => {
      const all = distinctLaunches(fields, testDevice(10 * capability[0] + capability[1]));
      const whole = ALL && fields.kvType === undefined; // The default space.
      const every = whole ? 1 : Math.max(1, Math.floor(all.length / SAMPLE));
      const entries = all.map(({ entryPoint }) => entryPoint);
      // Each kernel at least once.
      const chosen = all.filter(({ entryPoint }, i) => i % every === 0 || entries.indexOf(entryPoint) === i);
      const results = await compileAll(chosen, capability);
      assert.ok(results.length >= Math.min(SAMPLE, all.length));
      for (const { report, launch } of results) assert.ok(report.registers > 0, launch.entryPoint);
    },
  });
}

Deno.test({
  name: "mla_decode on CUDA compiles the baseline without spills for every compute capability",
  ignore: nvrtc === undefined,
  fn: async () => {
    const problem = parseProblem({ contextLens: 8192, ioType: "bf16" });
    for (const capability of [[8, 0], [8, 9], [9, 0], [10, 0], [12, 0]] as [number, number][]) {
      const device = testDevice(10 * capability[0] + capability[1]);
      const config: Config = cudaMlaDecode.baseline(problem, device);
      const { launches } = cudaMlaDecode.program(problem, config, device) as CudaProgram;
      for (const { report, launch } of await compileAll(launches, capability)) {
        assert.equal(report.spillStoreBytes, 0, `${launch.entryPoint} for ${capability.join(".")}`);
      }
    }
  },
});

Deno.test({
  name: "mla_decode on CUDA compiles few_heads_fp8's shapes for 8 and 16 heads almost without spills",
  ignore: nvrtc === undefined,
  fn: async () => {
    for (const heads of [8, 16]) {
      const problem = parseProblem({ contextLens: 8192, ioType: "bf16", heads });
      const device = testDevice(90);
      const large = { warpgroups: 2, blocks_per_sm: 1, num_stages: 4 };
      const shapes: Config[] = [
        { warpgroups: 1, blocks_per_sm: 2, num_stages: 2 },
        large,
        { ...large, merge_item: "block" }, // launches the next step early
      ];
      for (const shape of shapes) {
        const config: Config = {
          ...cudaMlaDecode.baseline(problem, device),
          ...shape,
          path: "few_heads_fp8",
          BLOCK_N: 64,
          BLOCK_H: heads,
          partials: "f16",
          pdl: true,
        };
        assert.equal(brokenConstraint(cudaMlaDecode.space(problem, device), config), undefined);
        const { launches } = cudaMlaDecode.program(problem, config, device) as CudaProgram;
        const [{ report }] = await compileAll(launches, [9, 0]);
        assert.ok(report.spillStoreBytes <= 16, `${heads} heads: ${report.spillStoreBytes} bytes`);
      }
    }
  },
});

Deno.test({
  name: "mla_decode on CUDA compiles many_heads_fp8's clusters without spills",
  ignore: nvrtc === undefined,
  fn: async () => {
    for (const fields of [{ heads: 128 }, { heads: 96, ioType: "f16", sinks: true, logitCap: 30 }]) {
      const launches = distinctLaunches(fields, testDevice(90)).filter(({ defines }) => defines.CLUSTER === 2);
      assert.ok(launches.length > 0);
      for (const { report, launch } of await compileAll(launches, [9, 0])) {
        assert.equal(report.spillStoreBytes, 0, JSON.stringify(launch.defines));
      }
    }
  },
});

/** Each distinct compilation of the configs that were chosen for NVIDIA's H200. */
function chosenLaunches(): CudaLaunch[] {
  const launches = new Map<string, CudaLaunch>();
  for (const { problem, config } of storedForH200("cuda")) {
    for (const launch of (cudaMlaDecode.program(problem, config, testDevice(90)) as CudaProgram).launches) {
      launches.set(launch.entryPoint + JSON.stringify(launch.defines), launch);
    }
  }
  return [...launches.values()];
}

Deno.test({
  name: "mla_decode on CUDA compiles the configs of results/ with no more than two words spilled",
  ignore: nvrtc === undefined,
  fn: async () => {
    const launches = chosenLaunches();
    assert.ok(launches.length > 0);
    const spilled = (await compileAll(launches, [9, 0])).filter(({ report }) =>
      report.spillStoreBytes > MAX_SPILL_BYTES
    );
    assert.deepEqual(spilled.map(({ launch, report }) => [launch.entryPoint, launch.defines, report]), []);
  },
});
