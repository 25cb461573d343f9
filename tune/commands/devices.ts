/** `tune devices`: what a sweep could run on. */
import { Command } from "@commander-js/extra-typings";
import { type Backends, findAllDevices, withPython } from "../backends.ts";
import { FailureError } from "../errors.ts";
import { bytesText } from "../report/format.ts";
import { tableText } from "../report/table.ts";

/** Adds the command. */
export function devicesCommand(backends: Backends) {
  return new Command("devices")
    .description("list the devices that a sweep can run on")
    .option("--python <path>", "the Python that has Triton (default: KVTUNE_PYTHON, or python3)")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async ({ json, python }) => {
      const found = await findAllDevices(withPython(backends, python));
      const devices = found.flatMap(({ devices }) => devices);
      if (json) console.log(JSON.stringify({ backends: found }, null, 2));
      else if (devices.length > 0) {
        console.log(tableText(
          ["backend", "device", "name", "arch", "SMs", "known by", "largest buffer"],
          devices.map((device) => [
            device.backend,
            String(device.index),
            device.name,
            device.arch || "–",
            String(device.smCount),
            device.smCountSource,
            bytesText(device.limits.bufferBytes ?? 0),
          ]),
          { device: { right: true }, SMs: { right: true }, "largest buffer": { right: true } },
        ));
      }
      if (devices.length === 0) {
        throw new FailureError("Cannot find a device: deno run tune doctor says what is missing");
      }
    });
}
