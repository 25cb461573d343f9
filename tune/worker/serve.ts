/**
 * The worker's side of the protocol: reads requests, drives one device, writes replies.
 *
 * It holds at most one problem's inputs and the programs that were built over them.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import {
  BuildError,
  type BuiltProgram,
  type DeviceBackend,
  DeviceLostError,
  type DeviceSession,
  MemoryError,
  type OpenDevice,
} from "../../kernels/devices/device.ts";
import type { Implementation, Kernel, Reference } from "../../kernels/kernel.ts";
import { kernelNamed } from "../../kernels/registry.ts";
import { type Config, configKey } from "../../kernels/space.ts";
import type {
  FailureReply,
  OpenRequest,
  Outcome,
  Phase,
  Replies,
  Request,
  TimeRequest,
  TryRequest,
  WorkerMessage,
} from "./protocol.ts";

/** Configs to prepare beside the one at hand: more would be proposed with too little known. */
const MOST_AHEAD = 8;

/** References to keep: as many as a table has contexts, for the next SM count's turn. */
const MOST_REFERENCES = 16;

/** A failure with the outcome that the candidate gets for it. */
class Failure extends Error {
  constructor(readonly outcome: Outcome, message: string, readonly fatal = false) {
    super(message);
  }
}

/** An open problem: inputs on the device, the reference, and the programs built so far. */
interface Loaded {
  readonly request: OpenRequest;
  readonly implementation: Implementation<unknown>;
  readonly problem: unknown;
  readonly reference: Reference;
  readonly session: DeviceSession;
  readonly programs: Map<string, BuiltProgram>;
  /** Whether what was prepared has been compiled. */
  readonly prepared: Map<string, boolean>;
}

/** Splits a byte stream into lines of text. */
async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}

/** True where an error leaves the device unusable: only a new process helps. */
function isFatal(error: unknown): boolean {
  return error instanceof Error && "fatal" in error && error.fatal === true;
}

/** Serves one backend on stdin and stdout until the input ends. */
export async function serve(
  backend: DeviceBackend,
  { findKernel = kernelNamed }: { findKernel?: (name: string) => Kernel<unknown> } = {},
): Promise<void> {
  let device: { open: OpenDevice; index: number; smCount?: number } | undefined;
  let loaded: Loaded | undefined;
  const references = new Map<string, Reference>();

  const unload = () => {
    for (const program of loaded?.programs.values() ?? []) program.destroy();
    loaded?.session.destroy();
    loaded = undefined;
  };

  const open = async (request: OpenRequest): Promise<Replies["open"]> => {
    unload();
    if (!device || device.index !== request.device || device.smCount !== request.smCount) {
      device?.open.close();
      device = undefined;
      const opened = await backend.open(request.device, { smCount: request.smCount });
      device = { open: opened, index: request.device, smCount: request.smCount };
    }
    const { info, clock } = device.open;
    const kernel = findKernel(request.kernel);
    const implementation = kernel.implementations[info.backend];
    if (!implementation) {
      throw new Failure("compile", `Cannot run ${request.kernel} on ${info.backend}: not implemented`);
    }
    const problem = kernel.parseProblem(request.problem);
    const inputs = kernel.inputs(problem, request.seed);
    const session = await device.open.load(inputs);
    const key = JSON.stringify([kernel.name, request.problem, request.seed]);
    const reference = references.get(key) ?? kernel.reference(problem, inputs);
    if (references.size >= MOST_REFERENCES) references.clear();
    references.set(key, reference);
    loaded = { request, implementation, problem, reference, session, programs: new Map(), prepared: new Map() };
    return {
      device: info,
      clock,
      ...(session.prepare && { ahead: Math.min(MOST_AHEAD, navigator.hardwareConcurrency) }),
    };
  };

  const current = (): Loaded => {
    if (!loaded) throw new Failure("runtime", "Cannot try a config: no problem is open");
    return loaded;
  };

  const info = () => device!.open.info;

  const prepare = (config: Config): void => {
    const { implementation, problem, session, prepared } = current();
    const key = configKey(config);
    if (prepared.has(key)) return;
    prepared.set(key, !session.prepare);
    const ready = () => void prepared.set(key, true);
    try {
      session.prepare?.(implementation.program(problem, config, info())).then(ready);
    } catch { // There is no program: trying it says why, and waits for nothing.
      ready();
    }
  };

  const tryConfig = async ({ config }: TryRequest, phase: (phase: Phase) => Promise<void>): Promise<Replies["try"]> => {
    const { implementation, problem, reference, session, programs } = current();
    await phase("compile");
    const key = configKey(config);
    programs.get(key)?.destroy();
    programs.delete(key);
    const program = implementation.program(problem, config, info());
    const built = await session.build(program);
    programs.set(key, built);
    await phase("run");
    const outputs = await built.run();
    await phase("check");
    const check = reference.check(outputs, config);
    return { compileMs: built.compileMs, build: built.build, check };
  };

  const time = async (request: TimeRequest): Promise<Replies["time"]> => {
    const { session, programs } = current();
    const built = request.configs.map((config: Config) => {
      const program = programs.get(configKey(config));
      if (!program) throw new Failure("runtime", `Cannot time ${configKey(config)}: it was not tried`);
      return program;
    });
    const samples = await session.time(built, request);
    const readings = device!.open.readings?.();
    return { samples, ...(readings && { readings }) };
  };

  const answer = async (request: Request, phase: (phase: Phase) => Promise<void>): Promise<unknown> => {
    switch (request.op) {
      case "list":
        return { devices: await backend.list() } satisfies Replies["list"];
      case "open":
        await phase("open");
        return await open(request);
      case "try":
        return await tryConfig(request, phase);
      case "prepare": {
        const { prepared } = current();
        for (const config of request.configs) prepare(config);
        await setImmediate(); // What needs no compile says so within a turn of the event loop.
        return {
          ready: request.configs.map((config) => prepared.get(configKey(config))!),
        } satisfies Replies["prepare"];
      }
      case "time":
        await phase("time");
        return await time(request);
      case "drop":
        for (const key of request.configs.map(configKey)) {
          loaded?.programs.get(key)?.destroy();
          loaded?.programs.delete(key);
        }
        return {};
    }
  };

  const send = (message: WorkerMessage) => writeLine(JSON.stringify(message));
  for await (const line of lines(Deno.stdin.readable)) {
    const request = JSON.parse(line) as Request;
    const { id } = request;
    let at: Phase = "open";
    try {
      const ok = await answer(request, (phase) => {
        at = phase;
        return send({ id, phase });
      });
      await send({ id, ok });
    } catch (error) {
      const failure: FailureReply = {
        outcome: outcomeOf(error, at),
        message: error instanceof Error ? error.message : String(error),
        fatal: isFatal(error),
      };
      await send({ id, failure });
      if (failure.fatal) break;
    }
  }
  unload();
  device?.open.close();
}

function outcomeOf(error: unknown, phase: Phase): Outcome {
  if (error instanceof Failure) return error.outcome;
  if (error instanceof DeviceLostError) return "lost";
  if (error instanceof MemoryError) return "memory";
  // An error that nobody classified belongs to the phase it came in.
  return error instanceof BuildError || phase === "compile" ? "compile" : "runtime";
}

const encoder = new TextEncoder();

async function writeLine(line: string): Promise<void> {
  const bytes = encoder.encode(line + "\n");
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
