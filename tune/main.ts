/**
 * `deno run tune`: the entry of the command line.
 *
 * @module
 */
import { main } from "./cli.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
