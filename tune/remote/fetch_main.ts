/**
 * Prints what a URL has, for {@linkcode ./source.ts}: the command line itself has no permission to use the network.
 *
 * @module
 */
import { fetchText } from "../../results/fetch_text.ts";
import { firstLine } from "../errors.ts";

if (import.meta.main) {
  try {
    const text = await fetchText(new URL(Deno.args[0]), {});
    await new Blob([text]).stream().pipeTo(Deno.stdout.writable);
  } catch (error) {
    console.error(firstLine(error));
    Deno.exit(1);
  }
}
