/**
 * The command line: parses, hands over, and turns errors into one line and an exit code.
 *
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { CommanderError } from "commander";
import { BACKENDS, type Backends } from "./backends.ts";
import { compareCommand } from "./commands/compare.ts";
import { devicesCommand } from "./commands/devices.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { exportCommand } from "./commands/export.ts";
import { fleetCommand } from "./commands/fleet.ts";
import { indexCommand } from "./commands/index.ts";
import { mergeCommand } from "./commands/merge.ts";
import { pruneCommand } from "./commands/prune.ts";
import { replayCommand } from "./commands/replay.ts";
import { patchCommand } from "./commands/patch.ts";
import { resumeCommand } from "./commands/resume.ts";
import { scheduleCommand } from "./commands/schedule.ts";
import { serveCommand } from "./commands/serve.ts";
import { showCommand } from "./commands/show.ts";
import { signCommand } from "./commands/sign.ts";
import { sweepCommand } from "./commands/sweep.ts";
import { verifyCommand } from "./commands/verify.ts";
import { verifySignatureCommand } from "./commands/verify_signature.ts";
import { FailureError, UsageError } from "./errors.ts";
import { VERSION } from "./version.ts";

function program(backends: Backends) {
  const root = new Command("tune")
    .description("Tunes the attention kernels that serve MLA models, and writes the best configs as JSON.")
    .usage("[command] [options]")
    .version(VERSION)
    .showSuggestionAfterError()
    .addCommand(sweepCommand(backends), { isDefault: true })
    .addCommand(resumeCommand(backends))
    .addCommand(verifyCommand(backends))
    .addCommand(compareCommand())
    .addCommand(patchCommand())
    .addCommand(devicesCommand(backends))
    .addCommand(doctorCommand(backends))
    .addCommand(scheduleCommand(backends))
    .addCommand(fleetCommand(backends))
    .addCommand(replayCommand())
    .addCommand(showCommand())
    .addCommand(exportCommand())
    .addCommand(mergeCommand())
    .addCommand(pruneCommand())
    .addCommand(indexCommand())
    .addCommand(serveCommand())
    .addCommand(signCommand())
    .addCommand(verifySignatureCommand());
  for (const command of withSubcommands(root as unknown as Command)) {
    command.exitOverride().configureOutput({
      // One line: the suggestion joins the error.
      outputError: (text, write) => write(text.trim().replace(/\n+/g, " ") + "\n"),
    });
  }
  return root;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...(command.commands as Command[]).flatMap(withSubcommands)];
}

/**
 * Runs a command line.
 *
 * @returns The exit code: 0, 1 for a failure, 2 for a usage error, 130 where the user stopped it.
 */
export async function main(args: readonly string[], backends: Backends = BACKENDS): Promise<number> {
  try {
    await program(backends).parseAsync([...args], { from: "user" });
    return Deno.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // Said already.
    if (error instanceof UsageError || error instanceof FailureError) {
      console.error(`error: ${error.message}`);
      return error instanceof UsageError ? 2 : 1;
    }
    throw error;
  }
}
