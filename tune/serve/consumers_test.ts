/** The README's consumers, as the README has them, against a registry on loopback. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { fileURLToPath } from "node:url";
import { writeIndexes, writeResults } from "../../results/mod.ts";
import { SAMPLE_CONFIG, sampleResults } from "../../results/testing/samples.ts";
import { serveFile, serving } from "../../results/testing/serve.ts";
import { inFolder } from "../testing/command.ts";

const ROOT = new URL("../../", import.meta.url);
const README = Deno.readTextFileSync(new URL("README.md", ROOT));
const CAP = SAMPLE_CONFIG.max_kv_splits;

/** The README's block in a language that has these words. */
function readmeBlock(language: string, words: string): string {
  const blocks = [...README.matchAll(/^```(\S+)[^\n]*\n(.*?)^```$/gms)];
  const found = blocks.filter(([, lang, body]) => lang === language && body.includes(words));
  strictEqual(found.length, 1, `${found.length} blocks of ${language} with "${words}"`);
  return found[0][2];
}

/** A host with the checkout, the bundle and a registry, at the README's addresses but for the host. */
async function published(folder: string) {
  await writeResults(`${folder}/results`, sampleResults([[132, 1024], [132, 16_384]]));
  await writeIndexes(`${folder}/results`);
  await run("deno", ["bundle", "--quiet", "--minify", "--platform", "browser", "-o", `${folder}/kvtune.js`, "mod.ts"], {
    cwd: fileURLToPath(ROOT),
  });
  const server = serving(async (request) => {
    const { pathname } = new URL(request.url);
    const mine = await Deno.readFile(folder + pathname).catch(() => undefined);
    const type = { js: "text/javascript", html: "text/html", json: "application/json" }[pathname.split(".").at(-1)!];
    if (mine) return new Response(mine, { headers: { "content-type": type ?? "text/plain" } });
    // The checkout has results of its own, which must not be taken for the registry's.
    return /^\/results\/.*\.json$/.test(pathname)
      ? new Response(null, { status: 404 })
      : await serveFile(ROOT, request);
  });
  const here = (text: string) => text.replaceAll("https://example.org/kvtune/", server.url);
  return { here, url: server.url, host: new URL(server.url).host, [Symbol.asyncDispose]: server.shutdown };
}

async function run(command: string, args: string[], options: Deno.CommandOptions = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null", ...options }).output();
  const decoder = new TextDecoder();
  ok(success, `${command}: ${decoder.decode(stderr)}${decoder.decode(stdout)}`);
  return decoder.decode(stdout);
}

/** Whether a program is here; loudly where it is not. */
async function available(command: string): Promise<boolean> {
  const found = await new Deno.Command(command, { args: ["--version"], stdout: "null", stderr: "null" }).output()
    .then(({ success }) => success, () => false);
  if (!found) {
    console.warn(`%cSKIPPED: no ${command}, so that the README's consumer for it is not tested`, "color: red");
  }
  return found;
}

const [node, python, chromium] = await Promise.all(["node", "python3", "chromium"].map(available));
const stripsTypes = node && (await run("node", ["-p", "process.features.typescript"])).startsWith("strip");
if (node && !stripsTypes) {
  console.warn("%cSKIPPED: this Node does not strip types, so that mod.ts is not imported into it", "color: red");
}

async function inDeno(folder: string, words: string): Promise<string> {
  await using at = await published(folder);
  Deno.mkdirSync(`${folder}/empty`);
  Deno.writeTextFileSync(`${folder}/empty/program.ts`, at.here(readmeBlock("ts", words)));
  const flags = ["--quiet", "--no-config", "--no-prompt", "--check=all", `--allow-import=${at.host}`];
  const net = words === "findResults(" ? [`--allow-net=${at.host}`] : [];
  return await run("deno", ["run", ...flags, ...net, "program.ts"], {
    cwd: `${folder}/empty`,
    env: { DENO_DIR: `${folder}/cache`, NO_COLOR: "1" },
  });
}

Deno.test(
  "the README's static import works in an empty folder, typed, with no permission but to import",
  inFolder(async (folder) => strictEqual(await inDeno(folder, 'type: "json"'), `exact high ${CAP}\n`)),
);

Deno.test(
  "the README's findResults() works in an empty folder, and falls back to the nearest problem",
  inFolder(async (folder) =>
    strictEqual(await inDeno(folder, "findResults("), `nearest heads16-batch1-fp8_e4m3 ${CAP}\n`)
  ),
);

Deno.test({
  name: "the README's program works in Node with the bundle",
  ignore: !node,
  fn: inFolder(async (folder) => {
    await using at = await published(folder);
    Deno.writeTextFileSync(`${folder}/program.mjs`, at.here(readmeBlock("js", "./kvtune.js")));
    strictEqual(await run("node", ["program.mjs"], { cwd: folder }), `${CAP}\n`);
  }),
});

Deno.test({
  name: "mod.ts works in a Node that strips types",
  ignore: !stripsTypes,
  fn: inFolder(async (folder) => {
    await using at = await published(folder);
    const program = at.here(readmeBlock("js", "./kvtune.js")).replace("./kvtune.js", new URL("mod.ts", ROOT).href);
    Deno.writeTextFileSync(`${folder}/program.mjs`, program);
    strictEqual(await run("node", ["program.mjs"], { cwd: folder }), `${CAP}\n`);
  }),
});

Deno.test({
  name: "the README's page works in Chromium",
  ignore: !chromium,
  fn: inFolder(async (folder) => {
    await using at = await published(folder);
    const page = `<!doctype html><body>\n${at.here(readmeBlock("html", "kvtune.js"))}`;
    Deno.writeTextFileSync(`${folder}/page.html`, page);
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${folder}/profile`];
    const dom = await run("chromium", [...flags, "--virtual-time-budget=20000", "--dump-dom", `${at.url}page.html`]);
    match(dom, new RegExp(`<body>${CAP}</body>`));
  }),
});

Deno.test({
  name: "the README's five lines of Python work with the standard library",
  ignore: !python,
  fn: inFolder(async (folder) => {
    await using at = await published(folder);
    const program = readmeBlock("python", "urllib");
    strictEqual(program.trim().split("\n").length, 5);
    strictEqual(await run("python3", ["-c", at.here(program)]), `16384 ${CAP}\n`);
  }),
});

Deno.test(
  "mod.ts with all that it imports is less than 25 kB minified, and has nothing from npm",
  inFolder(async (folder) => {
    const bundle = ["bundle", "--quiet", "--minify", "--platform", "browser", "-o", `${folder}/kvtune.js`, "mod.ts"];
    await run("deno", bundle, { cwd: fileURLToPath(ROOT) });
    const { size } = Deno.statSync(`${folder}/kvtune.js`);
    ok(size < 25_000, `${size} bytes`);
    const graph = JSON.parse(await run("deno", ["info", "--json", "mod.ts"], { cwd: fileURLToPath(ROOT) }));
    const foreign = graph.modules.map(({ specifier }: { specifier: string }) => specifier)
      .filter((specifier: string) => !specifier.startsWith("file:"));
    deepStrictEqual(foreign, []);
  }),
);
