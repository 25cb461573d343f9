/** `tune verify`: measures again what a results file claims. */
import { Command, Option } from "@commander-js/extra-typings";
import type { Backends } from "../backends.ts";
import { FailureError } from "../errors.ts";
import { resultsFrom, SOURCE_HELP } from "../remote/source.ts";
import { verifyText } from "../report/verify_table.ts";
import { verify } from "../verify.ts";
import { parseDuration, positiveNumber, wholeNumber } from "./options.ts";

/** Adds the command. */
export function verifyCommand(backends: Backends) {
  return new Command("verify")
    .description("measure again what a results file claims, and fail where anything no longer holds")
    .argument("<file>", SOURCE_HELP)
    .option("--device <n>", "the backend's device of this number (default: the file's model)", wholeNumber(0, 255))
    .addOption(
      new Option("--budget <time>", "time for all entries together, as in 90s, 5m, 1h")
        .argParser(parseDuration)
        .default(300, "5m"),
    )
    .option("--tolerance <percent>", "how far times may move with clocks and temperature", positiveNumber, 10)
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (file, { device, budget, tolerance, json }) => {
      const results = await resultsFrom(file);
      const controller = new AbortController();
      const stop = () => controller.abort();
      Deno.addSignalListener("SIGINT", stop);
      Deno.addSignalListener("SIGTERM", stop);
      try {
        const entries = await verify(results, {
          backends,
          ...(device !== undefined && { device }),
          budgetSeconds: budget,
          tolerance: tolerance / 100,
          signal: controller.signal,
          onEntry: ({ smCount, contextLen, finding }) => {
            if (!json && Deno.stderr.isTerminal()) console.error(`${smCount} SMs, context ${contextLen}: ${finding}`);
          },
        });
        const holding = entries.filter(({ finding }) => finding === "holds").length;
        console.log(json ? JSON.stringify({ file, holding, entries }, null, 2) : verifyText(entries));
        if (controller.signal.aborted) Deno.exitCode = 130;
        else if (holding < entries.length) {
          throw new FailureError(`${entries.length - holding} of ${entries.length} entries do not hold`);
        }
      } finally {
        Deno.removeSignalListener("SIGINT", stop);
        Deno.removeSignalListener("SIGTERM", stop);
      }
    });
}
