/**
 * The command line over the simulated device, for tests: the first argument is its plan as JSON, the rest is kvtune's.
 *
 * @module
 */
import { main } from "../cli.ts";
import { simulatedBackends } from "./simulated_backends.ts";

if (import.meta.main) {
  const [plan, ...args] = Deno.args;
  Deno.exit(await main(args, simulatedBackends(JSON.parse(plan))));
}
