/** A Python with Triton, for tests: the `python3` of the PATH, which is the one that tests may run. */
import { DEFAULT_PYTHON, Python } from "./python.ts";

/** Starts Python with these variables in its environment, and none of `undefined`. */
export async function startPython(variables: Readonly<Record<string, string | undefined>> = {}): Promise<Python> {
  const before = Object.keys(variables).map((name): [string, string | undefined] => [name, Deno.env.get(name)]);
  set(Object.entries(variables));
  try {
    return await Python.start(DEFAULT_PYTHON);
  } finally {
    set(before);
  }
}

/** Why there is no Triton here, said once for the file that asks; undefined where there is. */
export async function tritonMissing(what: string): Promise<string | undefined> {
  try {
    await (await Python.start(DEFAULT_PYTHON)).close();
  } catch (error) {
    console.warn(`SKIPPED: ${(error as Error).message}, so no test of ${what}`);
    return (error as Error).message;
  }
}

function set(variables: readonly (readonly [string, string | undefined])[]): void {
  for (const [name, value] of variables) {
    if (value === undefined) Deno.env.delete(name);
    else Deno.env.set(name, value);
  }
}
