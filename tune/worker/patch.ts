/**
 * What an installed server hard-codes of a config, as JSON on stdout: `deno run tune/worker/patch.ts PYTHON SERVER CONFIG`.
 * In a process of its own, since only that may run Python.
 *
 * @module
 */
import { Python } from "../../kernels/devices/triton.ts";
import { INSTALLED } from "../../kernels/mla_decode/triton/installed.ts";

if (import.meta.main) {
  const [command, server, config] = Deno.args;
  try {
    const python = await Python.start(command);
    const args = { server, config: JSON.parse(config) };
    const { result } = await python.request({ op: "call", module: INSTALLED, function: "patch", args });
    await python.close();
    console.log(JSON.stringify(result));
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
