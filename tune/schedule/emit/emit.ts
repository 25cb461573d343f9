/** Units for other schedulers, by name. */
import type { EmitKind, EmitOptions } from "./command.ts";
import { githubWorkflow } from "./github_actions.ts";
import { kubernetesManifest } from "./kubernetes.ts";
import { systemdUnit } from "./systemd.ts";

const EMITTERS: Readonly<Record<EmitKind, (options: EmitOptions) => string>> = {
  systemd: systemdUnit,
  kubernetes: kubernetesManifest,
  "github-actions": githubWorkflow,
};

/**
 * The text of a unit that runs a plan.
 *
 * @throws {UsageError} Where the scheduler cannot run it as asked, with what it can.
 */
export function emit(kind: EmitKind, options: EmitOptions): string {
  return EMITTERS[kind](options);
}
