/**
 * The HTTP server of a results folder: read-only, and bounded in all that a client can make it hold. It is `node:http`
 * since that bounds the time and size of a request's head, which `Deno.serve` leaves open.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { FolderFiles } from "./files.ts";
import { serverMetrics } from "./metrics.ts";
import { type Answer, responder } from "./respond.ts";

/** What a client can cost at most. */
export interface ServerLimits {
  /** Open connections; one more is closed at once. */
  readonly connections: number;
  /** Time for a request's head, in ms. */
  readonly headMs: number;
  /** Time in which nothing moves on a connection, in ms. */
  readonly idleMs: number;
  /** Time for a whole answer to be taken, in ms. */
  readonly answerMs: number;
  /** Requests of one connection that are not answered yet; browsers send one at a time. */
  readonly pipelined: number;
  /** Size of a request's head. */
  readonly headBytes: number;
}

/** Generous for browsers on bad lines. */
export const DEFAULT_LIMITS: ServerLimits = {
  connections: 512,
  headMs: 5000,
  idleMs: 10_000,
  answerMs: 60_000,
  pipelined: 16,
  headBytes: 8192,
};

/** How a folder is served. */
export interface ServerOptions {
  readonly dir: string;
  readonly hostname: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Seconds for which clients may keep a file. */
  readonly maxAge: number;
  readonly limits?: ServerLimits;
}

/** A server that answers. */
export interface RunningServer extends AsyncDisposable {
  /** With a final slash. */
  readonly url: string;
  /** Answers what was asked, and ends. */
  close(): Promise<void>;
}

/** One client's connection. */
interface Connection {
  /** Requests that are being answered. */
  unanswered: number;
  open: boolean;
  readonly closed: Promise<void>;
}

/** Written at once at most, so that a slow client holds no more than this of the server's memory. */
const CHUNK = 64 * 1024;

/**
 * Starts to serve. Needs read permission for the folder and net permission for the address.
 *
 * @throws {Error} Where the folder is not there or the address is taken.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const limits = options.limits ?? DEFAULT_LIMITS;
  const files = new FolderFiles(options.dir);
  const connections = new Map<Socket, Connection>();
  const metrics = serverMetrics({ connections: () => connections.size, cachedBytes: () => files.bytes });
  const respond = responder(files, { maxAge: options.maxAge, metrics: metrics.text });

  const server = createServer({
    maxHeaderSize: limits.headBytes,
    headersTimeout: limits.headMs,
    requestTimeout: limits.headMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.max(50, limits.headMs / 10),
  }, (request, response) => void answer(request, response));

  const refuse = (socket: Socket, why: string) => {
    metrics.refused(why);
    socket.destroy();
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { socket, method = "", url: target = "", headers } = request;
    const connection = connections.get(socket);
    if (!connection?.open) return;
    if (++connection.unanswered > limits.pipelined) {
      connection.open = false; // what the parser still holds of it is not answered either
      return refuse(socket, "too many at once");
    }
    const start = performance.now();
    const deadline = setTimeout(() => refuse(socket, "slow reader"), limits.answerMs);
    let given: Answer;
    try {
      given = await respond({ method, target, headers });
    } catch (error) {
      console.error(`Cannot answer ${method} ${JSON.stringify(target)}: ${(error as Error).message}`);
      given = { status: 500, headers: { "content-type": "text/plain" }, body: new TextEncoder().encode("Failed\n") };
    }
    const length = given.status === 204 || given.status === 304 ? {} : { "content-length": String(given.body.length) };
    response.writeHead(given.status, { ...given.headers, ...length });
    const body = method === "HEAD" ? given.body.subarray(0, 0) : given.body;
    await send(response, body, connection);
    clearTimeout(deadline);
    connection.unanswered--;
    if (connection.open) metrics.answered(method, given.status, (performance.now() - start) / 1e3, body.length);
  };

  server.on("connection", (socket: Socket) => {
    if (connections.size >= limits.connections) return refuse(socket, "too many");
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const connection: Connection = { unanswered: 0, open: true, closed };
    connections.set(socket, connection);
    socket.on("close", () => {
      connections.delete(socket);
      connection.open = false;
      resolve();
    });
    socket.setTimeout(limits.idleMs, () => {
      if (connection.unanswered > 0) refuse(socket, "slow reader");
      else socket.destroy();
    });
  });
  server.on("clientError", (error: Error & { code?: string }, socket: Socket) => {
    refuse(socket, REFUSALS[error.code ?? ""] ?? "malformed");
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.hostname, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const hostname = options.hostname.includes(":") ? `[${options.hostname}]` : options.hostname;
  let closing: Promise<void> | undefined;
  const close = () =>
    closing ??= new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
      const last = setTimeout(() => connections.forEach((_, socket) => socket.destroy()), 1000);
      server.once("close", () => clearTimeout(last));
    });
  return { url: `http://${hostname}:${port}/`, close, [Symbol.asyncDispose]: close };
}

const REFUSALS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "slow head",
  HPE_HEADER_OVERFLOW: "large head",
  ECONNRESET: "reset",
};

/** Writes a body piece by piece, as fast as the client takes it, for as long as it is there. */
async function send(response: ServerResponse, body: Uint8Array, connection: Connection): Promise<void> {
  for (let at = 0; at < body.length && connection.open; at += CHUNK) {
    if (response.write(body.subarray(at, at + CHUNK))) continue;
    await Promise.race([new Promise((resolve) => response.once("drain", resolve)), connection.closed]);
  }
  response.end();
}
