/** `tune verify`: measures again what a results file claims. */
import { Command, Option } from "@commander-js/extra-typings";
import type { Backends } from "../backends.ts";
import { FailureError, UsageError } from "../errors.ts";
import { type Recorded, recordInto } from "../record.ts";
import { isUrl, resultsFrom, SOURCE_HELP } from "../remote/source.ts";
import { recordText, verifyText } from "../report/verify_table.ts";
import { verify } from "../verify.ts";
import { callerPath, parseDuration, positiveNumber, wholeNumber } from "./options.ts";

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
    .option("--record", "add what was measured to the file: its intervals then span the differences between processes")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async (file, { device, budget, tolerance, record, json }) => {
      if (record && isUrl(file)) throw new UsageError(`Cannot record into "${file}": expected a file on this machine`);
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
        let recorded: Recorded | undefined;
        let unrecorded: unknown;
        try {
          if (record) recorded = await recordInto(callerPath(file), results, entries);
        } catch (error) {
          unrecorded = error; // What was measured is worth printing all the same.
        }
        const { results: _, ...summary } = recorded ?? {};
        const text = () =>
          [verifyText(entries), ...(recorded ? [recordText(recorded, entries.length)] : [])].join("\n");
        console.log(
          json ? JSON.stringify({ file, holding, entries, ...(recorded && { recorded: summary }) }, null, 2) : text(),
        );
        if (unrecorded !== undefined) throw unrecorded;
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
