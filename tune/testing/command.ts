/** Runs kvtune's command line and its workers in processes of their own, for tests. */
import type { WorkerCommand } from "../worker/host.ts";
import { BACKENDS } from "../backends.ts";
import type { SimulationPlan } from "./simulated_device.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** What a command did. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process of the command line over the simulated device, with the permissions of the task `tune`, called from `cwd`. */
export function simulatedCommand(args: readonly string[], plan: SimulationPlan = {}, cwd = ROOT): Deno.Command {
  return new Deno.Command("deno", {
    args: ["run", ...tunePermissions(), `${ROOT}tune/testing/simulated_main.ts`, JSON.stringify(plan), ...args],
    env: { NO_COLOR: "1", INIT_CWD: cwd },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    cwd: ROOT,
  });
}

/** Runs the command line over the simulated device to its end. */
export async function simulated(args: readonly string[], plan: SimulationPlan = {}, cwd = ROOT): Promise<Ran> {
  const { code, stdout, stderr } = await simulatedCommand(args, plan, cwd).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the command line to its end over the real backends, with more in its environment. */
export async function tuneCommand(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", ...tunePermissions(), `${ROOT}tune/main.ts`, ...args],
    env: { NO_COLOR: "1", INIT_CWD: ROOT, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The backend's worker with a bad candidate in its kernel (`sabotaged_worker.ts`), under the same permissions. */
export function sabotagedWorker(backend: string): WorkerCommand {
  const { command, args } = BACKENDS[backend];
  return { command, args: [...args.slice(0, -2), `${ROOT}tune/testing/sabotaged_worker.ts`, backend] };
}

/** kill -9. `Deno.kill` would need the permission to run anything. */
export async function killHard(pid: number): Promise<void> {
  if (!(pid > 1)) throw new Error(`Cannot kill process ${pid}: expected the id of one process`);
  const { success } = await new Deno.Command("kill", { args: ["-KILL", String(pid)], stderr: "null" }).output();
  if (!success) throw new Error(`Cannot kill process ${pid}: it is gone`);
}

/** The flags that `deno.json` gives the task `tune`: tests run with the same. */
function tunePermissions(): string[] {
  const task = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)).tasks.tune;
  const command = typeof task === "string" ? task : task.command;
  return command.split(" ").filter((word: string) => word.startsWith("--allow-"));
}

/** Runs a test in a temporary folder that is removed afterwards. */
export function inFolder(test: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = Deno.makeTempDirSync({ prefix: "kvtune-" });
    await test(folder); // What a failed test leaves is there to be looked at.
    Deno.removeSync(folder, { recursive: true });
  };
}
