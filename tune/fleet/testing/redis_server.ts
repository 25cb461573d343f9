/** A Redis server of one's own, for tests. */

/** Whether redis-server is installed; says so where it is not. */
export const hasRedis: boolean = (() => {
  try {
    return new Deno.Command("redis-server", { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
})();
if (!hasRedis) console.warn("SKIPPED: the fleet is not tested, since redis-server is not installed");

/** How a server is started. */
export interface RedisServerOptions {
  /** Folder of its append-only file. */
  readonly folder: string;
  /** Certificate and key in PEM form: the server then speaks TLS alone. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Further directives, as in `["--maxmemory-policy", "allkeys-lru"]`. */
  readonly more?: readonly string[];
}

/** A server on a free port of 127.0.0.1, with a password, for as long as a test runs. */
export class RedisServer implements AsyncDisposable {
  readonly #password = crypto.randomUUID();
  readonly #port: number = freePort();
  #child: Deno.ChildProcess | undefined;
  #output: Promise<void> | undefined;

  private constructor(readonly options: RedisServerOptions) {}

  static async start(options: RedisServerOptions): Promise<RedisServer> {
    const server = new RedisServer(options);
    await server.start();
    return server;
  }

  get url(): string {
    return `${this.options.tls ? "rediss" : "redis"}://:${this.#password}@127.0.0.1:${this.#port}`;
  }

  /** The same with a wrong password. */
  get wrongUrl(): string {
    return this.url.replace(this.#password, "wrong");
  }

  /** Starts it, with what it kept; resolves once it answers. */
  async start(): Promise<void> {
    const { folder, tls, more = [] } = this.options;
    const port = String(this.#port);
    this.#child = new Deno.Command("redis-server", {
      args: [
        ...(tls
          ? ["--port", "0", "--tls-port", port, "--tls-cert-file", tls.cert, "--tls-key-file", tls.key]
          : ["--port", port]),
        ...(tls ? ["--tls-ca-cert-file", tls.cert, "--tls-auth-clients", "no"] : []),
        ...["--bind", "127.0.0.1", "--requirepass", this.#password, "--dir", folder],
        ...["--appendonly", "yes", "--save", "", "--maxclients", "20000"],
        ...more,
      ],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const ready = Promise.withResolvers<void>();
    const child = this.#child;
    this.#output = (async () => {
      let text = "";
      for await (const bytes of child.stdout) {
        text += new TextDecoder().decode(bytes);
        if (text.includes("Ready to accept connections")) ready.resolve();
      }
      ready.reject(new Error(`Cannot start redis-server: ${text}`));
    })();
    await ready.promise;
  }

  /** Ends it as its service manager would; what it held is on the disk. */
  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#child?.status;
    await this.#output;
    this.#child = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
