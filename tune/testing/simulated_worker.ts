/**
 * A worker process without a device, for tests: it speaks the protocol over a {@linkcode SimulatedDevice} whose plan is its
 * first argument.
 *
 * @module
 */
import { configKey } from "../../kernels/space.ts";
import type { Request, WorkerMessage } from "../worker/protocol.ts";
import { SimulatedDevice, SimulatedFault, type SimulationPlan } from "./simulated_device.ts";

/** Tells a test what is tried, before anything can go wrong. */
function note(request: Request, { log }: SimulationPlan): void {
  if (!log || request.op !== "try") return;
  Deno.writeTextFileSync(`${log}.pid`, String(Deno.pid));
  Deno.writeTextFileSync(log, configKey(request.config) + "\n", { append: true });
}

if (import.meta.main) {
  Deno.addSignalListener("SIGINT", () => {});
  const plan: SimulationPlan = JSON.parse(Deno.args[0] ?? "{}");
  const device = new SimulatedDevice(plan);
  const keepAlive = setInterval(() => {}, 1000); // A pending promise alone does not keep a process that hangs.
  const write = (message: WorkerMessage) =>
    Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(message) + "\n"));
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      const request = JSON.parse(line) as Request;
      const { id } = request;
      if (request.op === "try") write({ id, phase: "compile" });
      if (request.op === "time") write({ id, phase: "time" });
      if (plan.delayMs && request.op !== "list") await new Promise((done) => setTimeout(done, plan.delayMs));
      note(request, plan);
      try {
        write({ id, ok: device.answer(request) });
      } catch (error) {
        if (!(error instanceof SimulatedFault)) throw error;
        const { outcome, message, fatal } = error;
        if (outcome === "crash") Deno.exit(139);
        if (outcome === "timeout") await new Promise(() => {});
        write({ id, failure: { outcome, message, fatal } });
        if (fatal) Deno.exit(0);
      }
    }
  }
  clearInterval(keepAlive);
}
