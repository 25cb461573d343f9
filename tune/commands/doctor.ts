/** `tune doctor`: what is missing for each backend, and the command that mends it. */
import { confirm, isCancel } from "@clack/prompts";
import { Command, Option } from "@commander-js/extra-typings";
import ansis from "ansis";
import { type Backends, withPython } from "../backends.ts";
import { APT_GET, DOCTOR_BACKENDS, examine, type Finding, type Fix, fixesOf } from "../doctor/checks.ts";
import { isDebian, thisMachine } from "../doctor/machine.ts";
import { FailureError, UsageError } from "../errors.ts";

/** Adds the command. */
export function doctorCommand(backends: Backends) {
  return new Command("doctor")
    .description("say what is missing for each backend and how to mend it")
    .addOption(new Option("--backend <name>", "examine this backend alone").choices(DOCTOR_BACKENDS))
    .option("--python <path>", "the Python that has Triton (default: KVTUNE_PYTHON, or python3)")
    .option("--fix", "run the commands that mend it, after asking (Debian and Ubuntu)")
    .option("--yes", "with --fix: do not ask")
    .option("--json", "print one JSON document on stdout and nothing else")
    .action(async ({ backend, python, fix, yes, json }) => {
      if (json && fix) throw new UsageError("Cannot combine --json with --fix: expected one of them");
      const look = () =>
        examine(thisMachine, withPython(backends, python), backend === undefined ? undefined : [backend]);
      let findings = await look();
      const show = () => console.log(json ? JSON.stringify(findings, null, 2) : findings.map(findingText).join("\n"));
      if (fix) {
        const mended = await mend(fixesOf(findings), yes ?? false);
        if (mended) findings = await look();
      }
      show();
      const usable = new Set(findings.map((finding) => finding.backend));
      for (const { backend, ok } of findings) if (!ok) usable.delete(backend);
      // One backend that works is enough, unless the user asked about another.
      if (usable.size === 0) {
        const hint = fix ? "" : ": the commands above mend it, deno run tune doctor --fix runs what it can";
        throw new FailureError(`No backend${backend === undefined ? "" : ` ${backend}`} is usable${hint}`);
      }
    });
}

function findingText({ backend, what, ok, detail, fix }: Finding): string {
  const mark = ok ? ansis.green("ok     ") : ansis.red("missing");
  const mend = ok || !fix ? "" : `\n                 mend: ${fix.args.join(" ")}`;
  return `${mark} ${backend.padEnd(8)} ${what}: ${detail}${mend}`;
}

/** Runs what can be run unattended. True where anything was. */
async function mend(fixes: readonly Fix[], yes: boolean): Promise<boolean> {
  const automatic = fixes.filter((fix) => fix.automatic);
  if (automatic.length === 0) return false;
  if (!isDebian()) {
    throw new FailureError("Cannot mend this system: --fix knows Debian and Ubuntu, the commands are above");
  }
  // Package lists may be missing or old on a fresh machine.
  const commands = [[APT_GET, "update", "-q"], ...automatic.map(({ args }) => [...args])].map(asRoot);
  if (!yes) {
    if (!Deno.stdin.isTerminal()) throw new UsageError("Cannot ask before --fix without a terminal: expected --yes");
    const answer = await confirm({ message: `Run ${commands.map((args) => args.join(" ")).join(" && ")}?` });
    if (isCancel(answer) || !answer) return false;
  }
  for (const [command, ...args] of commands) {
    console.log(ansis.dim(`$ ${command} ${args.join(" ")}`));
    const { success, code } = await new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).output();
    if (!success) throw new FailureError(`Cannot mend: ${command} ${args.join(" ")} ended with exit code ${code}`);
  }
  return true;
}

function asRoot(args: readonly string[]): string[] {
  return Deno.uid() === 0 ? [...args] : ["/usr/bin/sudo", ...args];
}
