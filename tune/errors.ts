/** Errors that end a command with one line: what failed, with which value, and what would be accepted. */

/** The user asked for something that cannot be: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The work could not be done: exit code 1. */
export class FailureError extends Error {
  override readonly name = "FailureError";
}

/** The first line of an error's message, for tables and journals. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split("\n", 1)[0];
}
