/**
 * The messages between the tuner and a worker: one JSON document a line, requests on the worker's stdin, replies on its
 * stdout. The same for every backend, so that a worker may be Deno or Python.
 *
 * A worker answers requests in the order they came. It may report `phase` events while it works on one; each phase has a
 * time limit of its own. A reply with `fatal` says that the worker cannot go on (a lost device, a poisoned context) and
 * ends itself.
 *
 * @module
 */
import type { Check } from "../../kernels/kernel.ts";
import type { Clock, DeviceInfo, DeviceReadings, TimeOptions } from "../../kernels/devices/device.ts";
import type { Config } from "../../kernels/space.ts";

/**
 * What became of a candidate. `compile`: no valid pipeline; `runtime`: an error as it ran; `memory`: the device has too
 * little of it; `timeout`: it hung; `lost`: the device was lost; `crash`: its worker died.
 */
export const OUTCOMES = [
  "ok",
  "constraint",
  "compile",
  "runtime",
  "memory",
  "wrong",
  "timeout",
  "lost",
  "crash",
] as const;
/** What became of a candidate: failure is data. */
export type Outcome = typeof OUTCOMES[number];

/** What a worker is doing, in this order. */
export const PHASES = ["open", "compile", "run", "check", "time"] as const;
/** What a worker is doing. */
export type Phase = typeof PHASES[number];

/** Every device of the worker's backend. */
export interface ListRequest {
  readonly op: "list";
}

/** Takes a device and loads a problem's inputs, in place of the problem before. */
export interface OpenRequest {
  readonly op: "open";
  readonly device: number;
  /** Use a partition of this many SMs, or take this count as given where the backend cannot know it. */
  readonly smCount?: number;
  readonly kernel: string;
  readonly problem: unknown;
  readonly seed: number;
}

/** Compiles a config, runs it once and checks its outputs. */
export interface TryRequest {
  readonly op: "try";
  readonly config: Config;
}

/**
 * Starts to compile configs, so that trying them later takes less time, and asks which could be tried without waiting for
 * a compile. What goes wrong is said when they are tried.
 */
export interface PrepareRequest {
  readonly op: "prepare";
  readonly configs: readonly Config[];
}

/** Times configs that were tried before, interleaved. */
export interface TimeRequest extends TimeOptions {
  readonly op: "time";
  readonly configs: readonly Config[];
}

/** Frees the programs of these configs. */
export interface DropRequest {
  readonly op: "drop";
  readonly configs: readonly Config[];
}

/** A request without its number. */
export type RequestBody = ListRequest | OpenRequest | TryRequest | PrepareRequest | TimeRequest | DropRequest;
/** A request as it is sent. */
export type Request = RequestBody & { readonly id: number };

/** Answer to {@linkcode ListRequest}. */
export interface ListReply {
  readonly devices: readonly DeviceInfo[];
}

/** Answer to {@linkcode OpenRequest}. */
export interface OpenReply {
  readonly device: DeviceInfo;
  readonly clock: Clock;
  /** Configs that are worth preparing beside the one at hand; absent where the worker compiles one at a time. */
  readonly ahead?: number;
}

/** Answer to {@linkcode TryRequest}. */
export interface TryReply {
  readonly compileMs: number;
  readonly build: Readonly<Record<string, number>>;
  readonly check: Check;
}

/** Answer to {@linkcode TimeRequest}: µs a run, in rounds, for each config in the order asked. */
export interface TimeReply {
  readonly samples: readonly (readonly number[])[];
  /** What the device said of itself just after, where its backend can ask. */
  readonly readings?: DeviceReadings;
}

/** Answer to {@linkcode PrepareRequest}. */
export interface PrepareReply {
  /** Whether a config has been compiled, for each in the order asked. */
  readonly ready: readonly boolean[];
}

/** The answer to each kind of request. */
export interface Replies {
  list: ListReply;
  open: OpenReply;
  try: TryReply;
  prepare: PrepareReply;
  time: TimeReply;
  drop: Record<string, never>;
}

/** A failed request: the outcome for the candidate, and why. */
export interface FailureReply {
  readonly outcome: Outcome;
  readonly message: string;
  /** The worker ends after this reply. */
  readonly fatal: boolean;
}

/** What a worker writes: a phase, a result or a failure. */
export type WorkerMessage =
  | { readonly id: number; readonly phase: Phase }
  | { readonly id: number; readonly ok: unknown }
  | { readonly id: number; readonly failure: FailureReply };
