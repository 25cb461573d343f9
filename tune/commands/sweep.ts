/** `tune sweep`: the whole of a sweep's settings on the command line. */
import { Command, Option } from "@commander-js/extra-typings";
import { dirname } from "node:path";
import type { DeviceInfo } from "../../kernels/devices/device.ts";
import { SERVERS } from "../../kernels/mla_decode/triton/installed.ts";
import { kernelNames } from "../../kernels/registry.ts";
import { type Backends, bestDevice, findAllDevices, findDevices, pythonCommand, withPython } from "../backends.ts";
import { FailureError, firstLine, UsageError } from "../errors.ts";
import { Journal } from "../journal.ts";
import { progressObserver } from "../report/progress.ts";
import { sweepJson, sweepText } from "../report/sweep_table.ts";
import { DEFAULT_STRATEGY, STRATEGIES, type StrategyName } from "../search/strategies.ts";
import type { SweepSettings } from "../settings.ts";
import { sweep } from "../sweep.ts";
import {
  callerPath,
  parseContexts,
  parseDuration,
  parseOnly,
  parseSize,
  parseSmCounts,
  positiveNumber,
  wholeNumber,
} from "./options.ts";

/** Where a sweep keeps its journal unless told. */
export const DEFAULT_JOURNAL = ".kvtune/journal.db";

/** Contexts of a sweep that names none: what its device runs in milliseconds. */
const CONTEXTS = { software: [256, 1024, 2048], hardware: [1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072] };

/** Adds the command. */
export function sweepCommand(backends: Backends) {
  return new Command("sweep")
    .description("find the best configs of a kernel on a device and write them to a results file")
    .addOption(new Option("--kernel <name>", "what to tune").choices(kernelNames).default("mla_decode"))
    .addOption(
      new Option("--backend <name>", "how it runs (default: that of the best device)").choices(Object.keys(backends)),
    )
    .option("--device <n>", "the backend's device of this number (default: the best one)", wholeNumber(0, 255))
    .addOption(
      new Option("--implementation <name>", "whose kernel: our own, or that of an installed server (Triton)").choices(
        ["own", ...SERVERS],
      ).default("own"),
    )
    .option("--python <path>", "the Python that has Triton (default: KVTUNE_PYTHON, or python3)")
    .option("--sm-counts <list>", "partitions of the device to sweep, as in 132,64,32", parseSmCounts)
    .option("--heads <n>", "query heads", wholeNumber(1, 128), 16)
    .option("--batch <n>", "requests", wholeNumber(1, 4096), 1)
    .option(
      "--contexts <list>",
      "cached tokens a request, as in 1024,4096,32k (default: what suits the device)",
      parseContexts,
    )
    .addOption(
      new Option("--kv-type <type>", "how the cache is stored").choices(["fp8_e4m3", "f16", "bf16"]).default(
        "fp8_e4m3",
      ),
    )
    .addOption(
      new Option("--io-type <type>", "how queries and outputs are stored (default: the backend's)").choices([
        "f32",
        "f16",
        "bf16",
      ]),
    )
    .addOption(
      new Option("--accuracy <class>", "fp8_p also admits probabilities rounded to E4M3, in results of its own")
        .choices([
          "standard",
          "fp8_p",
        ]).default("standard"),
    )
    .option("--page-size <n>", "tokens a page of the cache", wholeNumber(1, 65536), 64)
    .option("--kv-scale <x>", "the cache stores values divided by this", positiveNumber, 1)
    .option("--latent <n>", "latent width of a cache row", wholeNumber(1, 4096), 512)
    .option("--rope <n>", "rope width of a cache row", wholeNumber(0, 4096), 64)
    .addOption(
      new Option("--budget <time>", "time for the whole sweep, as in 90s, 5m, 1h")
        .argParser(parseDuration)
        .default(90, "90s"),
    )
    .option("--max-evaluations <n>", "candidates of the whole sweep at the most", wholeNumber(1, 1e9))
    .option("--max-compiles <n>", "compiles of the whole sweep at the most", wholeNumber(1, 1e9))
    .addOption(
      new Option("--strategy <name>", "how configs are chosen").choices(Object.keys(STRATEGIES)).default(
        DEFAULT_STRATEGY,
      ),
    )
    .option("--start-from <file>", "a results file, perhaps another device's, whose configs are tried first")
    .option("--seed <n>", "seed of inputs and strategy", wholeNumber(0, 2 ** 31 - 1), 1)
    .option("--warm-cache", "time with the KV cache in the device's caches, unlike serving")
    .option("--max-workspace <size>", "scratch memory of a config at most, as in 512MB", parseSize)
    .option(
      "--only <name=values>",
      "keep a parameter to some of its values, as in BLOCK_N=32,64 (may be repeated)",
      parseOnly,
    )
    .option("--results <dir>", "folder of the results files", "results")
    .option("--journal <file>", "record of every candidate; a sweep with the same one goes on", DEFAULT_JOURNAL)
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (options) => {
      const isOwn = options.implementation === "own";
      if (!isOwn && options.backend !== undefined && options.backend !== "triton") {
        throw new UsageError(
          `Cannot tune the kernel of ${options.implementation} on --backend ${options.backend}, expected triton`,
        );
      }
      const device = await chosenDevice(
        withPython(backends, options.python),
        isOwn ? options.backend : "triton",
        options.device,
      );
      const settings: SweepSettings = {
        kernel: isOwn ? options.kernel : `${options.kernel}_${options.implementation}`,
        backend: device.backend,
        ...(options.python !== undefined && { python: pythonCommand(options.python) }),
        device: device.index,
        ...(options.smCounts && { smCounts: options.smCounts }),
        problem: {
          heads: options.heads,
          batch: options.batch,
          kvType: options.kvType,
          ...(options.ioType && { ioType: options.ioType }),
          pageSize: options.pageSize,
          kvScale: options.kvScale,
          latent: options.latent,
          rope: options.rope,
          ...(options.accuracy !== "standard" && { accuracy: options.accuracy }),
        },
        contexts: options.contexts ?? (device.software ? CONTEXTS.software : CONTEXTS.hardware),
        budgetSeconds: options.budget,
        ...(options.maxEvaluations !== undefined && { maxEvaluations: options.maxEvaluations }),
        ...(options.maxCompiles !== undefined && { maxCompiles: options.maxCompiles }),
        strategy: options.strategy as StrategyName,
        ...(options.startFrom !== undefined && { startFrom: callerPath(options.startFrom) }),
        seed: options.seed,
        coldCache: !options.warmCache,
        ...(options.maxWorkspace !== undefined && { maxWorkspaceBytes: options.maxWorkspace }),
        ...(options.only && { only: options.only }),
        resultsDir: folderFor(options.results),
        command: "",
      };
      using journal = openJournal(options.journal);
      await runSweep({ ...settings, command: commandLine(settings) }, backends, journal, { json: options.json });
    });
}

/** Opens a journal, its folder made where it is missing. */
export function openJournal(path: string, { mustExist = false } = {}): Journal {
  const full = path === DEFAULT_JOURNAL ? path : callerPath(path);
  if (!mustExist) {
    try {
      Deno.mkdirSync(dirname(full), { recursive: true });
    } catch (error) {
      throw new UsageError(`Cannot make a folder for journal "${path}": ${firstLine(error)}`);
    }
  }
  return Journal.open(full, { mustExist });
}

/** Runs a sweep from its settings, shows it, and fails where nothing could be tuned. */
export async function runSweep(
  settings: SweepSettings,
  backends: Backends,
  journal: Journal,
  { json = false, runId }: { json?: boolean; runId?: number } = {},
): Promise<void> {
  const run = runId ?? journal.startRun(settings);
  const controller = new AbortController();
  const stop = () => controller.abort();
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
  const progress = json ? undefined : progressObserver();
  try {
    const report = await sweep(settings, {
      journal,
      backends: withPython(backends, settings.python),
      signal: controller.signal,
      ...(progress && { observer: progress }),
    });
    await progress?.close();
    console.log(json ? JSON.stringify(sweepJson(report), null, 2) : sweepText(report, journal.path));
    if (report.stopped) Deno.exitCode = 130;
    else {
      journal.finishRun(run);
      const failed = report.rows.filter((row) => row.error !== undefined);
      if (failed.length > 0) {
        throw new FailureError(`${failed.length} of ${report.rows.length} problems could not be tuned`);
      }
    }
  } finally {
    await progress?.close();
    Deno.removeSignalListener("SIGINT", stop);
    Deno.removeSignalListener("SIGTERM", stop);
  }
}

async function chosenDevice(backends: Backends, backend?: string, index?: number): Promise<DeviceInfo> {
  const found = backend === undefined
    ? await findAllDevices(backends)
    : [await findDevices(backend, backends[backend])];
  const where = backend === undefined ? "" : ` of backend ${backend}`;
  const all = found.flatMap(({ devices }) => devices);
  if (all.length === 0) {
    const why = found.flatMap(({ backend, error }) => error ? [`${backend}: ${error}`] : []).join("; ");
    throw new FailureError(
      `Cannot find a device${where}${why && ` (${why})`}: deno run tune doctor says what is missing`,
    );
  }
  const best = bestDevice(found)!;
  const device = index === undefined
    ? best
    : all.find((one) => one.index === index && one.backend === (backend ?? best.backend));
  if (device) return device;
  const known = all.map((one) => `${one.index} (${one.name}, ${one.backend})`).join(", ");
  throw new UsageError(`Cannot find device ${index}${where}, expected ${known}`);
}

/** Absolute, and writable: better known before an hour of measuring than after it. */
function folderFor(path: string): string {
  const full = path === "results" ? path : callerPath(path);
  const probe = `${full}/.kvtune-${crypto.randomUUID()}`;
  try {
    Deno.mkdirSync(full, { recursive: true });
    Deno.writeTextFileSync(probe, "");
    Deno.removeSync(probe);
  } catch (error) {
    throw new UsageError(
      `Cannot write to --results "${path}": ${firstLine(error)}, expected a folder that can be written`,
    );
  }
  return full;
}

/** The command that measures the same again; its paths are the caller's own business. */
export function commandLine(settings: SweepSettings): string {
  const { problem } = settings;
  const parts: [string, unknown][] = [
    ["--kernel", settings.kernel],
    ["--backend", settings.backend],
    ["--device", settings.device],
    ["--sm-counts", settings.smCounts?.join(",")],
    ["--heads", problem.heads],
    ["--batch", problem.batch],
    ["--contexts", settings.contexts.join(",")],
    ["--kv-type", problem.kvType],
    ["--io-type", problem.ioType],
    ["--accuracy", problem.accuracy],
    ["--page-size", problem.pageSize],
    ["--kv-scale", problem.kvScale],
    ["--latent", problem.latent],
    ["--rope", problem.rope],
    ["--budget", `${settings.budgetSeconds}s`],
    ["--max-evaluations", settings.maxEvaluations],
    ["--max-compiles", settings.maxCompiles],
    ["--strategy", settings.strategy],
    ["--seed", settings.seed],
    ["--max-workspace", settings.maxWorkspaceBytes],
    ["--warm-cache", settings.coldCache ? undefined : ""],
    ...Object.entries(settings.only ?? {}).map(([name, values]): [string, string] => ["--only", `${name}=${values}`]),
  ];
  const given = parts.filter(([, value]) => value !== undefined).map(([flag, value]) => `${flag} ${value}`.trim());
  return `deno run tune sweep ${given.join(" ")}`;
}
