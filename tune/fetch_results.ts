/**
 * Prints a results file from a URL as JSON: `deno run --allow-net=HOST tune/fetch_results.ts URL`. The tuner itself has no
 * network; it starts this with the permission for one host.
 *
 * @module
 */
import { loadResults } from "../results/mod.ts";
import { firstLine } from "./errors.ts";

if (import.meta.main) {
  try {
    console.log(JSON.stringify(await loadResults(Deno.args[0])));
  } catch (error) {
    console.error(firstLine(error));
    Deno.exit(1);
  }
}
