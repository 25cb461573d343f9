/** The command line over simulated devices in processes of their own, with the permissions of the task `fleet`. */
import config from "../../../deno.json" with { type: "json" };
import type { Ran } from "../../testing/command.ts";
import type { SimulationPlan } from "../../testing/simulated_device.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const PERMISSIONS = config.tasks.fleet.command.split(" ").filter((word) => word.startsWith("--allow-"));

/** How a process is started. */
export interface FleetProcessOptions {
  readonly url: string;
  /** Where its locks are: each folder is another host, as far as devices go. */
  readonly host: string;
  readonly simulation?: SimulationPlan;
}

function command(args: readonly string[], { url, host, simulation = {} }: FleetProcessOptions): Deno.Command {
  return new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", ...PERMISSIONS, `${ROOT}tune/testing/simulated_main.ts`],
      ...[JSON.stringify(simulation), "fleet", ...args],
    ],
    env: { NO_COLOR: "1", INIT_CWD: ROOT, REDIS_URL: url, KVTUNE_CACHE: host },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    cwd: ROOT,
  });
}

/** Runs a fleet command to its end. */
export async function fleetCommand(args: readonly string[], options: FleetProcessOptions): Promise<Ran> {
  const { code, stdout, stderr } = await command(args, options).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** An event of a process's log. */
export type Event = Readonly<Record<string, unknown>> & { readonly event: string };

/** A fleet command that goes on, and whose log can be waited on. */
export class FleetProcess implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly events: Event[] = [];
  #waiting: (() => void)[] = [];
  #ended: Promise<void>;
  #errors = "";

  constructor(args: readonly string[], options: FleetProcessOptions) {
    this.child = command(args, options).spawn();
    this.#ended = Promise.all([this.#readEvents(), this.#readErrors()]).then(() => {});
  }

  /** Resolves with the events of this name once there are `count`. */
  async reaching(name: string, count = 1): Promise<Event[]> {
    while (true) {
      const found = this.events.filter(({ event }) => event === name);
      if (found.length >= count) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      const ended = await Promise.race([promise, this.#ended.then(() => true)]);
      if (ended && this.events.filter(({ event }) => event === name).length < count) {
        throw new Error(`The process ended before "${name}": ${this.#errors}${JSON.stringify(this.events)}`);
      }
    }
  }

  /** Waits for its end. */
  async status(): Promise<Deno.CommandStatus> {
    await this.#ended;
    return await this.child.status;
  }

  /** Asks it to end, and waits. */
  async terminate(): Promise<Deno.CommandStatus> {
    this.child.kill("SIGTERM");
    return await this.status();
  }

  /** Ends it however a test ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch { // It has ended.
    }
    await this.#ended;
  }

  async #readEvents(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.child.stdout) {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = parts.pop()!;
      this.events.push(...parts.map((line) => JSON.parse(line) as Event));
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }

  async #readErrors(): Promise<void> {
    for await (const bytes of this.child.stderr) this.#errors += new TextDecoder().decode(bytes);
  }
}
