/**
 * Results that the user names: a file or a URL.
 *
 * @module
 */
import { parseResults, type Results } from "../../results/mod.ts";
import { callerPath } from "../commands/options.ts";
import { FailureError, firstLine, UsageError } from "../errors.ts";

/** How commands describe such an argument. */
export const SOURCE_HELP = "a results file, or its URL";

/**
 * Reads results from a file or a URL.
 *
 * @throws {UsageError} Where there is no such file.
 * @throws {FailureError} Where it cannot be fetched, or is no results file; the message has its name.
 */
export async function resultsFrom(source: string): Promise<Results> {
  const text = isUrl(source) ? await fetchApart(source) : await readFile(source);
  try {
    return parseResults(text);
  } catch (error) {
    const why = firstLine(error).replace("Cannot read results: ", "");
    throw new FailureError(`Cannot read results from "${source}": ${why}`);
  }
}

/** Whether the user means a URL. */
export function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(callerPath(path));
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "no such file" : firstLine(error);
    throw new UsageError(`Cannot read results from "${path}": ${why}, expected ${SOURCE_HELP}`);
  }
}

/** Fetches in a process that may use the network for this one host, and nothing else. */
async function fetchApart(source: string): Promise<string> {
  if (!URL.canParse(source)) throw new UsageError(`Cannot read results from "${source}": expected ${SOURCE_HELP}`);
  const { host, href } = new URL(source);
  const script = new URL("./fetch_main.ts", import.meta.url);
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-lock",
      `--allow-net=${host}`,
      script.protocol === "file:" ? script.pathname : script.href,
      href,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  const why = decoder.decode(stderr).trim().split("\n", 1)[0] || "the fetching process failed";
  throw new FailureError(`Cannot read results from "${source}": ${why}`);
}
