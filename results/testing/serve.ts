/** A server on loopback for as long as a test runs. */

/** Where the server answers, and its end. */
export interface Serving extends AsyncDisposable {
  /** With a final slash. */
  readonly url: string;
  shutdown(): Promise<void>;
}

/** Serves on a free port of 127.0.0.1 until disposed. */
export function serving(handler: (request: Request) => Response | Promise<Response>): Serving {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  const shutdown = () => server.shutdown();
  return { url: `http://127.0.0.1:${server.addr.port}/`, shutdown, [Symbol.asyncDispose]: shutdown };
}

const TYPES: Record<string, string> = { ".ts": "text/typescript", ".json": "application/json" };

/** Answers with the TypeScript and JSON files below `root`, a folder's URL with a final slash. */
export async function serveFile(root: URL, request: Request): Promise<Response> {
  const file = new URL(`.${new URL(request.url).pathname}`, root);
  const type = TYPES[/\.[a-z]+$/.exec(file.pathname)?.[0] ?? ""];
  if (type === undefined || !file.href.startsWith(root.href)) return new Response("Not found", { status: 404 });
  try {
    return new Response(await Deno.readFile(file), { headers: { "content-type": type } });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Response("Not found", { status: 404 });
    throw error;
  }
}
