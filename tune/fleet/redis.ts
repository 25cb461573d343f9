/**
 * Connections to the fleet's Redis. The only module that knows the Redis library.
 *
 * @module
 */
import { Redis } from "ioredis";
import { FailureError, firstLine, UsageError } from "../errors.ts";

export type { Redis };

/** Where a fleet is. */
export interface RedisPlace {
  /** `redis://:password@host:6379` or, with TLS, `rediss://…`. */
  readonly url: string;
  /** Certificates in PEM form that TLS trusts besides the system's. */
  readonly ca?: string;
}

/** A Redis URL without its password, for people. */
export function publicUrl(url: string): string {
  const { protocol, hostname, port } = new URL(url);
  return `${protocol}//${hostname}:${port || 6379}`;
}

/**
 * Connects.
 *
 * @throws {UsageError} Where the URL is none, or this process may not use the network.
 * @throws {FailureError} Where nobody answers, or the password is wrong.
 */
export async function connect({ url, ca }: RedisPlace): Promise<Redis> {
  const host = hostOf(url);
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") {
    throw new UsageError(
      `Cannot reach Redis at ${host} without the permission to: expected "deno task fleet", which has it`,
    );
  }
  const redis = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: null, // Commands wait for Redis to come back, however long it is away.
    retryStrategy: (attempt) => Math.min(100 * attempt, 2000),
    ...(url.startsWith("rediss:") && { tls: ca === undefined ? {} : { ca } }),
  });
  let last: unknown;
  redis.on("error", (error) => last = error);
  try {
    await Promise.race([redis.connect(), gaveUp(redis)]);
    await redis.ping();
  } catch (error) {
    redis.disconnect();
    throw new FailureError(`Cannot reach Redis at ${publicUrl(url)}: ${firstLine(last ?? error)}`);
  }
  return redis;
}

/** Rejects at the first sign that there is no Redis here: later ones are outages, which are waited for. */
function gaveUp(redis: Redis): Promise<never> {
  return new Promise((_, reject) => {
    redis.once("error", reject);
    redis.once("ready", () => redis.off("error", reject));
  });
}

function hostOf(url: string): string {
  const wrong = () =>
    new UsageError("Cannot read the Redis URL: expected redis://[:password@]host[:port] or, with TLS, rediss://…");
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw wrong(); // Without the URL: it may have a password.
  }
  if (!["redis:", "rediss:"].includes(parsed.protocol) || parsed.hostname === "") throw wrong();
  return `${parsed.hostname}:${parsed.port || 6379}`;
}

/** What about a Redis would lose a fleet's jobs, one line each. */
export async function doubts(redis: Redis): Promise<string[]> {
  const info = `${await redis.info("persistence")}\n${await redis.info("memory")}`;
  const value = (name: string) => new RegExp(`^${name}:(\\S*)`, "m").exec(info)?.[1];
  const found: string[] = [];
  if (value("aof_enabled") === "0") {
    found.push("Redis has no append-only file: jobs are lost where it stops (appendonly yes)");
  }
  if ((value("maxmemory_policy") ?? "noeviction") !== "noeviction") {
    found.push(`Redis may evict jobs: maxmemory-policy is ${value("maxmemory_policy")}, expected noeviction`);
  }
  return found;
}
