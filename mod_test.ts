import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Config, parseResults, type Results, resultsPath, type Size } from "./mod.ts";
import { resultsFiles, sizesOf, stringifyResults } from "./results/mod.ts";
import { sampleResults } from "./results/testing/samples.ts";
import { serveFile, serving } from "./results/testing/serve.ts";

const ROOT = new URL("./", import.meta.url);

/** A results file that consumers can import: of the checkout, or a sample where the checkout has none. */
interface Published {
  /** Below the checkout, with `/` between parts. */
  readonly path: string;
  readonly text: string;
  readonly results: Results;
}

async function published(): Promise<Published> {
  for (const path of await resultsFiles(fileURLToPath(new URL("results", ROOT)))) {
    const text = await Deno.readTextFile(new URL(`results/${path}`, ROOT));
    const results = parseResults(text);
    if (sizesOf(results.configs).length > 0) return { path: `results/${path}`, text, results };
  }
  const results = sampleResults();
  return { path: `results/${resultsPath(results)}`, text: stringifyResults(results), results };
}

/** What a consumer's program saw and said. */
interface Consumed {
  readonly stdout: string;
  /** Paths that it asked the server for. */
  readonly requested: readonly string[];
}

/**
 * Serves the checkout, and runs a consumer's program in an empty folder with an empty module cache.
 *
 * @param source The program's text, for the URL (with a final slash) that the checkout is served at.
 * @param flags Further flags for the program, for the server's host and port.
 */
async function consume(
  file: Published,
  source: (url: string) => string,
  flags: (host: string) => string[] = () => [],
): Promise<Consumed> {
  const requested: string[] = [];
  await using server = serving((request) => {
    const { pathname } = new URL(request.url);
    requested.push(pathname.slice(1));
    return pathname === `/${file.path}`
      ? new Response(file.text, { headers: { "content-type": "application/json" } })
      : serveFile(ROOT, request);
  });
  const { host } = new URL(server.url);
  const folder = await Deno.makeTempDir();
  try {
    const cwd = join(folder, "empty");
    await Deno.mkdir(cwd);
    await Deno.writeTextFile(join(cwd, "program.ts"), source(server.url));
    const command = new Deno.Command("deno", {
      // No config: one above the folder for temporary files would bring its lock file along.
      args: ["run", "--quiet", "--no-config", "--no-prompt", `--allow-import=${host}`, ...flags(host), "program.ts"],
      cwd,
      // A cache of its own: a port that was used before would give the modules of that time.
      env: { DENO_DIR: join(folder, "cache"), NO_COLOR: "1" },
    });
    const { success, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    assert.ok(success, decoder.decode(stderr));
    return { stdout: decoder.decode(stdout), requested };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function firstEntry({ configs }: Results): Size & { readonly config: Config } {
  const [size] = sizesOf(configs);
  return { ...size, config: configs[size.smCount][size.contextLen] };
}

Deno.test("mod.ts and a results file import from a URL into an empty folder, typed and without permissions", async () => {
  const file = await published();
  const { smCount, contextLen, config } = firstEntry(file.results);
  const { stdout, requested } = await consume(
    file,
    (url) => `
      import { lookup } from "${url}mod.ts";
      import table from "${url}${file.path}" with { type: "json" };
      const exact = lookup(table, { smCount: ${smCount}, contextLen: ${contextLen} });
      const unseen = lookup(table, { smCount: 7777, contextLen: 7 });
      console.log(JSON.stringify([exact.match, exact.config, unseen.match]));
    `,
    () => ["--check=all"],
  );
  assert.deepEqual(JSON.parse(stdout), ["exact", config, "nearest"]);
  const folders = new Set(requested.map((path) => path.split("/")[0]));
  assert.deepEqual([...folders].sort(), ["kernels", "mod.ts", "results"], "nothing of the tuner is fetched");
});

Deno.test("loadResults() works for a consumer by URL with net permission alone", async () => {
  const file = await published();
  const { smCount, contextLen, config } = firstEntry(file.results);
  const { stdout } = await consume(
    file,
    (url) => `
      import { loadResults, lookup, type Results, resultsPath } from "${url}mod.ts";
      const results: Results = await loadResults("${url}${file.path}");
      console.log(JSON.stringify(lookup(results, { smCount: ${smCount}, contextLen: ${contextLen} }).config));
      console.log(resultsPath(results));
    `,
    (host) => [`--allow-net=${host}`],
  );
  const [printed, path] = stdout.trim().split("\n");
  assert.deepEqual(JSON.parse(printed), config);
  assert.match(path, /^mla_decode\/.*\.json$/);
});

Deno.test("mod.ts exports what its users rely on", async () => {
  const names = Object.keys(await import("./mod.ts"));
  for (
    const name of [
      "lookup",
      "parseResults",
      "loadResults",
      "resultsPath",
      "kvSplitsCap",
      "numKvSplits",
      "encodeE4M3",
      "encodeE4M3Array",
      "decodeE4M3",
      "decodeE4M3Array",
    ]
  ) assert.ok(names.includes(name), name);
});
