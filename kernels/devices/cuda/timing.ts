/**
 * Times programs by events around graphs, interleaved.
 *
 * A *run* is one execution of a program; a *graph* holds so many runs that the host's launch cost between graphs is
 * small; a *sample* is one or more launches of the program's graph between two events; a *round* is one sample of each
 * program in order. Successive runs use successive copies of the rotating inputs, so that no run finds its inputs in the
 * L2 cache.
 *
 * Rounds are put on the stream ahead of the device, so that it never waits for the host between two samples and clocks
 * stay up. After Triton's `do_bench_cudagraph` and FlashInfer's `bench_gpu_time` (graphs, rotating buffers).
 *
 * @module
 */
import type { TimeOptions } from "../device.ts";
import { isSteady } from "../steady_state.ts";
import type { Context, Graph } from "./context.ts";
import type { BuiltCuda } from "./program.ts";

/** Kernels in a graph at most: more cost memory and capture time, and hide no more launch cost. */
const MAX_GRAPH_KERNELS = 4096;
/** Rounds on the stream at a time. */
const ROUNDS_AHEAD = 3;
/** Warm-up takes at least this long on the device, and ends once the rounds are steady. */
const WARM_UP_US = 20_000;
/**
 * A device that was timed so short a while ago, in ms, is still warm: one round is enough for what is new to it, and none
 * where nothing is.
 */
const STAYS_WARM_MS = 200;
/**
 * Idle time before rested samples, in ms: many turns of a power controller, which acts within tens of ms, and little beside
 * the seconds that a task takes.
 */
const REST_MS = 500;
/** Some devices never settle: then samples show the spread. */
const WARM_UP_ROUNDS = 20;

/** How a program's samples are made. */
interface Plan {
  readonly graph: Graph;
  /** Launches of the graph in a sample. */
  readonly launches: number;
  readonly runs: number;
}

/** Plans by program, copies and length of a sample: what is timed again needs no second estimate. */
const known = new WeakMap<BuiltCuda, Map<string, Plan>>();

/** A sample that is on the stream. */
interface Sample {
  readonly start: bigint;
  readonly end: bigint;
}

/** Events, reused. */
class Events {
  readonly #idle: bigint[] = [];
  readonly #all: bigint[] = [];

  constructor(readonly context: Context) {}

  take(): bigint {
    const event = this.#idle.pop() ?? this.context.createEvent();
    if (!this.#all.includes(event)) this.#all.push(event);
    return event;
  }

  give(event: bigint): void {
    this.#idle.push(event);
  }

  destroy(): void {
    for (const event of this.#all) this.context.destroyEvent(event);
  }
}

/** Runs in a graph: whole turns of the copies, doubled until the graph fills a sample or grows too large. */
function runsInGraph(usPerRun: number, copies: number, launchCount: number, sampleUs: number): number {
  let runs = copies;
  while (runs * usPerRun < sampleUs && 2 * runs * launchCount <= MAX_GRAPH_KERNELS) runs *= 2;
  return runs;
}

const delay = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/**
 * Times programs whose context they share.
 *
 * @param copies Copies of the rotating inputs.
 * @param pause Waits so many ms.
 * @returns µs a run: `options.samples` for each program.
 * @throws {StickyCudaError} With the fault of a kernel.
 */
export async function timePrograms(
  context: Context,
  programs: readonly BuiltCuda[],
  copies: number,
  options: TimeOptions,
  pause: (ms: number) => Promise<void> = delay,
): Promise<number[][]> {
  const events = new Events(context);

  const enqueue = (graph: Graph, launches: number): Sample => {
    const sample = { start: events.take(), end: events.take() };
    context.record(sample.start);
    for (let i = 0; i < launches; i++) graph.launch();
    context.record(sample.end);
    return sample;
  };
  const collect = async ({ start, end }: Sample): Promise<number> => {
    await context.passed(end, "time programs");
    const us = context.elapsedUs(start, end);
    events.give(start);
    events.give(end);
    return us;
  };

  /** Estimates a run's time by one turn of the copies. Its first launch is slow for reasons of its own: not counted. */
  const plan = async (program: BuiltCuda): Promise<Plan> => {
    const turn = program.graph(copies, copies);
    turn.launch();
    const usPerRun = Math.max(await collect(enqueue(turn, 1)) / copies, 0.1);
    const runs = runsInGraph(usPerRun, copies, program.launchCount, options.sampleUs);
    const launches = Math.max(1, Math.ceil(options.sampleUs / (runs * usPerRun)));
    return { graph: program.graph(runs, copies), launches, runs: runs * launches };
  };

  const key = `${copies} ${options.sampleUs}`;
  const newRounds = programs.some((program) => !known.get(program)?.has(key)) ? 1 : 0;
  const planOf = async (program: BuiltCuda): Promise<Plan> => {
    const made = known.get(program) ?? new Map<string, Plan>();
    known.set(program, made);
    const found = made.get(key) ?? await plan(program);
    made.set(key, found);
    return found;
  };

  const collectRound = async (round: readonly Sample[]): Promise<number[]> => {
    const times: number[] = [];
    for (const sample of round) times.push(await collect(sample));
    return times;
  };

  try {
    const plans: Plan[] = [];
    for (const program of programs) plans.push(await planOf(program));
    const enqueueRound = () => plans.map(({ graph, launches }) => enqueue(graph, launches));

    if (options.rested) await pause(REST_MS);
    const stillWarm = !options.rested && performance.now() - context.timedAt < STAYS_WARM_MS;
    const isWarm = (rounds: readonly number[], us: number) =>
      stillWarm ? rounds.length >= newRounds : us >= WARM_UP_US && isSteady(rounds);
    const warm: number[] = [];
    for (let total = 0; warm.length < WARM_UP_ROUNDS && !isWarm(warm, total);) {
      const us = (await collectRound(enqueueRound())).reduce((sum, us) => sum + us, 0);
      total += us;
      warm.push(us);
    }

    const samples: number[][] = plans.map(() => []);
    const ahead: Sample[][] = [];
    const take = async () => {
      const times = await collectRound(ahead.shift()!);
      times.forEach((us, i) => samples[i].push(us / plans[i].runs));
    };
    for (let round = 0; round < options.samples; round++) {
      if (ahead.length === ROUNDS_AHEAD) await take();
      ahead.push(enqueueRound());
    }
    while (ahead.length > 0) await take();
    context.timedAt = performance.now();
    return samples;
  } finally {
    events.destroy();
  }
}
