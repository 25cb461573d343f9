/**
 * 10,000 requests, 64 at once, on loopback: a bare server, this one, and this one among hostile clients. It prints what they
 * came to, and fails where a good request did.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { resultsFiles } from "../../results/mod.ts";
import { DEFAULT_LIMITS, startServer } from "./server.ts";
import { hostility, storm } from "./testing/clients.ts";

const COUNT = 10_000;
const CONCURRENCY = 64;
const dir = fileURLToPath(new URL("../../results/", import.meta.url));
const [file] = await resultsFiles(dir);
const targets = ["/", "/index.json", `/${file}`, `/${file.replace(".json", ".html")}`];

async function report(name: string, url: string, hostile: boolean): Promise<void> {
  const controller = new AbortController();
  const attack = hostile ? hostility(url, `/${file}`, controller.signal) : Promise.resolve([]);
  const result = await storm(url, { targets, count: COUNT, concurrency: CONCURRENCY });
  controller.abort();
  const attacks = (await attack).length;
  const { good, failures, seconds, p50, p99 } = result;
  const rss = Math.round(Deno.memoryUsage().rss / 2 ** 20);
  console.log(
    `${name}: ${good} of ${COUNT} good, ${Math.round(COUNT / seconds)} a second, median ${p50.toFixed(1)} ms, ` +
      `99 % within ${p99.toFixed(1)} ms, ${rss} MiB resident${hostile ? `, ${attacks} escapes tried` : ""}`,
  );
  if (failures.length > 0) throw new Error(`${failures.length} failed, the first: ${failures[0]}`);
}

async function bare(): Promise<void> {
  const server = createServer((_, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await report("bare node:http", `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, false);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function served(name: string, hostile: boolean): Promise<void> {
  const limits = { ...DEFAULT_LIMITS, headMs: 500, idleMs: 2000 };
  await using server = await startServer({ dir, hostname: "127.0.0.1", port: 0, maxAge: 60, limits });
  await report(name, server.url, hostile);
}

const once = { group: "serve, 10,000 requests, 64 at once", n: 1, warmup: 0 };
Deno.bench({ ...once, name: "bare node:http", baseline: true, fn: bare });
Deno.bench({ ...once, name: "tune serve", fn: () => served("tune serve", false) });
Deno.bench({ ...once, name: "among hostile clients", fn: () => served("among hostile clients", true) });
