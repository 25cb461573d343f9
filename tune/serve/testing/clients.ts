/** Clients of the server, good and bad, for its tests and its bench. */

/** Request targets that lead outside of a served folder, or would where a server decodes or joins them carelessly. */
export const ESCAPES = [
  "/../secret.json",
  "/mla_decode/../../secret.json",
  "/%2e%2e/secret.json",
  "/..%2fsecret.json",
  "/..%5csecret.json",
  "/..\\secret.json",
  "/.%00./secret.json",
  "//etc/passwd",
  "/./index.json",
  "/link.json",
  "/linked/secret.json",
  "/.hidden.json",
  "http://127.0.0.1/../secret.json",
  "*",
];

/** Sends bytes on a connection of its own, and reads until the server ends it or `signal` aborts. */
export async function rawRequest(url: string, head: string, signal?: AbortSignal): Promise<string> {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  let open = true;
  const close = () => {
    if (open) connection.close();
    open = false;
    signal?.removeEventListener("abort", close);
  };
  using _end = { [Symbol.dispose]: close };
  signal?.addEventListener("abort", close);
  if (signal?.aborted) return "";
  // A server that has enough closes while the client still writes.
  await writeAll(connection, new TextEncoder().encode(head)).catch(() => {});
  let answer = "";
  const buffer = new Uint8Array(1 << 16);
  const decoder = new TextDecoder();
  while (true) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) return answer;
    answer += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** One request with a target as it is: `fetch` would resolve the dots away. */
export async function rawGet(url: string, target: string): Promise<string> {
  return await rawRequest(url, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
}

/** Asks for a file several times at once and reads nothing. The caller closes the connection. */
export async function stalledReader(url: string, target: string): Promise<Deno.Conn> {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await writeAll(connection, new TextEncoder().encode(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(8)));
  return connection;
}

/** What a storm of requests came to. */
export interface Storm {
  /** Requests that were answered as they should be. */
  readonly good: number;
  /** What went wrong with the others, one line each. */
  readonly failures: readonly string[];
  readonly seconds: number;
  /** Time of one request, in ms: median and 99th percentile. */
  readonly p50: number;
  readonly p99: number;
}

/** Sends `count` requests, `concurrency` at once, round and round the targets; each must be answered with 200 and a body. */
export async function storm(
  url: string,
  { targets, count, concurrency }: { targets: readonly string[]; count: number; concurrency: number },
): Promise<Storm> {
  const failures: string[] = [];
  const times: number[] = [];
  let next = 0;
  const start = performance.now();
  const client = async () => {
    while (next < count) {
      const target = targets[next++ % targets.length];
      const from = performance.now();
      try {
        const response = await fetch(new URL(target, url));
        const { byteLength } = await response.arrayBuffer();
        if (response.status !== 200 || byteLength === 0) {
          failures.push(`${target}: ${response.status}, ${byteLength} bytes`);
        }
      } catch (error) {
        failures.push(`${target}: ${(error as Error).message}`);
      }
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))];
  const seconds = (performance.now() - start) / 1e3;
  return { good: count - failures.length, failures, seconds, p50: at(0.5), p99: at(0.99) };
}

/** Hostile clients of every kind, until `signal` aborts; answers what escapes were answered with. */
export async function hostility(url: string, large: string, signal: AbortSignal): Promise<string[]> {
  const answers: string[] = [];
  const request = (head: string) => () => rawRequest(url, head, signal);
  let next = 0;
  const attacks: (() => Promise<unknown>)[] = [
    async () => answers.push(await rawGet(url, ESCAPES[next++ % ESCAPES.length])),
    request(`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"a".repeat(100_000)}\r\n\r\n`),
    request(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n${"a".repeat(100_000)}`),
    request("GET /index.json HTTP/1.1\r\nHost:"),
    request("\0\x01\x02 nonsense\r\n\r\n"),
    request(`GET ${large} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(1000)),
  ];
  const stalled = await Promise.all(Array.from({ length: 16 }, () => stalledReader(url, large)));
  await Promise.all(attacks.map(async (attack) => {
    while (!signal.aborted) await attack().catch(() => {}); // a refused connection is what it may get
  }));
  for (const connection of stalled) connection.close();
  return answers;
}
