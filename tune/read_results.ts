/**
 * Reads results that the user names: a file, or a URL that a process of its own fetches.
 *
 * @module
 */
import { parseResults, type Results } from "../results/mod.ts";
import { firstLine, UsageError } from "./errors.ts";

/**
 * @param source An http or https URL, or the path of a file.
 * @throws {UsageError} Where it cannot be read or is no results file.
 */
export async function readResults(source: string): Promise<Results> {
  if (/^https?:\/\//i.test(source)) return parseResults(await fetched(source));
  let text: string;
  try {
    text = await Deno.readTextFile(source);
  } catch (error) {
    throw new UsageError(`Cannot read "${source}": ${firstLine(error)}, expected a results file or its URL`);
  }
  try {
    return parseResults(text);
  } catch (error) {
    throw new UsageError(`Cannot read "${source}": ${firstLine(error).replace("Cannot read results: ", "")}`);
  }
}

async function fetched(url: string): Promise<string> {
  if (!URL.canParse(url)) {
    throw new UsageError(`Cannot read "${url}": it is no URL, expected a results file or its URL`);
  }
  const script = new URL("./fetch_results.ts", import.meta.url);
  const path = script.protocol === "file:" ? script.pathname : script.href;
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--quiet", "--no-lock", `--allow-net=${new URL(url).host}`, path, url],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new UsageError(decoder.decode(stderr).trim().split("\n").at(-1) || `Cannot read "${url}"`);
  return decoder.decode(stdout);
}
