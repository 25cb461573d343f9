/**
 * The server's process, for {@linkcode ../commands/serve.ts}: it may read one folder and listen on one address. It says where
 * it listens, or why it does not, in one JSON line, and ends when its input does.
 *
 * @module
 */
import { firstLine } from "../errors.ts";
import { startServer } from "./server.ts";

if (import.meta.main) {
  try {
    const server = await startServer(JSON.parse(Deno.args[0]));
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => void server.close());
    console.log(JSON.stringify({ url: server.url }));
    for await (const _ of Deno.stdin.readable); // The parent holds the other end for as long as it lives.
    await server.close();
    Deno.exit(0);
  } catch (error) {
    console.log(JSON.stringify({ error: firstLine(error) }));
    Deno.exit(1);
  }
}
