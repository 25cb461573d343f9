import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert";
import { resultsPath, writeIndexes, writeResults } from "../../results/mod.ts";
import { sampleResults } from "../../results/testing/samples.ts";
import { DEFAULT_LIMITS, type RunningServer, startServer } from "./server.ts";
import { hostility, rawGet, rawRequest, stalledReader, storm } from "./testing/clients.ts";

const PATH = resultsPath(sampleResults());
const SECRET = "what nobody may read";
/** As the server has them by default, but for times that a test can wait for. */
const LIMITS = { ...DEFAULT_LIMITS, headMs: 1500, idleMs: 3000, answerMs: 5000 };

function served(
  test: (server: RunningServer, dir: string) => Promise<void>,
  limits: Partial<typeof LIMITS> = {},
): () => Promise<void> {
  return async () => {
    const parent = Deno.makeTempDirSync({ prefix: "kvtune-" });
    const dir = `${parent}/results`;
    await writeResults(dir, sampleResults([[132, 1024], [66, 128]]));
    await writeIndexes(dir);
    Deno.writeTextFileSync(`${dir}/large.json`, `"${"large ".repeat(1_000_000)}"`);
    Deno.writeTextFileSync(`${parent}/secret.json`, SECRET);
    Deno.symlinkSync(`${parent}/secret.json`, `${dir}/link.json`);
    const options = { dir, hostname: "127.0.0.1", port: 0, maxAge: 60, limits: { ...LIMITS, ...limits } };
    const server = await startServer(options);
    await test(server, dir).finally(() => server.close());
    Deno.removeSync(parent, { recursive: true });
  };
}

/** The value of a metric. */
async function metric(url: string, name: string): Promise<number> {
  const response = await fetch(new URL("metrics", url), { headers: { connection: "close" } });
  const line = (await response.text()).split("\n").find((line) => line.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

Deno.test(
  "startServer() serves a file, HEAD without its body, and counts both",
  served(async ({ url }, dir) => {
    const response = await fetch(new URL(PATH, url));
    strictEqual(await response.text(), Deno.readTextFileSync(`${dir}/${PATH}`));
    const head = await fetch(new URL(PATH, url), { method: "HEAD", headers: { "accept-encoding": "identity" } });
    strictEqual(await head.text(), "");
    strictEqual(Number(head.headers.get("content-length")), Deno.statSync(`${dir}/${PATH}`).size);
    strictEqual(await metric(url, 'kvtune_http_requests_total{method="HEAD",status="200"}'), 1);
    const large = await fetch(new URL("large.json", url), { headers: { "accept-encoding": "identity" } });
    strictEqual((await large.text()).length, 6_000_002);
  }),
);

Deno.test(
  "startServer() ends a client that sends its head too slowly or too large, and one that reads nothing",
  served(async ({ url }) => {
    // Each returns when the server has closed the connection: were it not to, this would hang.
    await rawRequest(url, "GET / HTTP/1.1\r\nHost:");
    await rawRequest(url, `GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"a".repeat(100_000)}\r\n\r\n`);
    match(
      await rawRequest(url, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nabc"),
      /^HTTP\/1.1 405 /,
    );
    using _stalled = await stalledReader(url, "/large.json");
    while (await metric(url, 'kvtune_http_refused_total{why="slow reader"}') < 1);
    await rawRequest(url, "GET /large.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000));
    // How many requests the server has read by the time that it refuses the first is the machine's affair.
    ok(await metric(url, 'kvtune_http_refused_total{why="too many at once"}') >= 1);
    strictEqual(await metric(url, 'kvtune_http_refused_total{why="slow head"}'), 1);
    strictEqual(await metric(url, 'kvtune_http_refused_total{why="large head"}'), 1);
  }),
);

Deno.test(
  "startServer() refuses connections beyond its bound, and serves again when there is room",
  served(async ({ url }) => {
    const { hostname, port } = new URL(url);
    const held = [
      await Deno.connect({ hostname, port: Number(port) }),
      await Deno.connect({ hostname, port: Number(port) }),
    ];
    // A first byte of each, answered by nobody, so that the server has accepted both before the third comes.
    for (const connection of held) await connection.write(new TextEncoder().encode("G"));
    while ((await rawGet(url, "/healthz")).startsWith("HTTP/1.1 200")); // until both are counted
    for (const connection of held) connection.close();
    while (!(await rawGet(url, "/healthz")).startsWith("HTTP/1.1 200"));
  }, { connections: 2, headMs: 60_000, idleMs: 60_000 }),
);

Deno.test(
  "startServer() answers every good request while hostile clients do their worst, and nothing from outside",
  served(async ({ url }) => {
    const before = Deno.memoryUsage().rss;
    const controller = new AbortController();
    const attack = hostility(url, "/large.json", controller.signal);
    const { good, failures } = await storm(url, {
      targets: ["/", "/index.json", `/${PATH}`, `/${PATH.replace(".json", ".html")}`, "/healthz"],
      count: 1500,
      concurrency: 64,
    });
    controller.abort();
    const answers = await attack;
    deepStrictEqual([good, failures], [1500, []]);
    ok(answers.length > 0);
    for (const answer of answers) {
      ok(!answer.includes(SECRET));
      match(answer, /^(?:HTTP\/1.1 4\d\d |$)/);
    }
    ok(await metric(url, "kvtune_http_connections") <= LIMITS.connections);
    const grown = (Deno.memoryUsage().rss - before) / 2 ** 20;
    ok(grown < 300, `${grown} MiB more`);
  }, { headMs: 30_000, idleMs: 60_000, answerMs: 60_000 }), // a loaded machine makes good clients slow, too
);

Deno.test("startServer() names a folder that is not there", async () => {
  await rejects(startServer({ dir: "/nowhere/results", hostname: "127.0.0.1", port: 0, maxAge: 1 }), /No such file/);
});
