import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { resultsPath, stringifyResults, writeIndexes, writeResults } from "../../results/mod.ts";
import { sampleResults } from "../../results/testing/samples.ts";
import { FolderFiles } from "./files.ts";
import { type Answer, responder } from "./respond.ts";
import { ESCAPES } from "./testing/clients.ts";

const PATH = resultsPath(sampleResults());
const SECRET = "what nobody may read";

interface Site {
  readonly dir: string;
  ask(target: string, headers?: Record<string, string>, method?: string): Promise<Answer>;
}

/** A served folder beside a secret that links lead to. */
function site(test: (site: Site) => Promise<void>): () => Promise<void> {
  return async () => {
    const parent = Deno.makeTempDirSync({ prefix: "kvtune-" });
    const dir = `${parent}/results`;
    await writeResults(dir, sampleResults([[132, 1024], [66, 128]]));
    await writeIndexes(dir);
    Deno.writeTextFileSync(`${parent}/secret.json`, SECRET);
    Deno.writeTextFileSync(`${dir}/.hidden.json`, SECRET);
    Deno.symlinkSync(`${parent}/secret.json`, `${dir}/link.json`);
    Deno.symlinkSync(parent, `${dir}/linked`);
    const respond = responder(new FolderFiles(dir), { maxAge: 60, metrics: () => Promise.resolve("metrics") });
    await test({ dir, ask: (target, headers = {}, method = "GET") => respond({ method, target, headers }) });
    Deno.removeSync(parent, { recursive: true });
  };
}

const text = (answer: Answer) => new TextDecoder().decode(answer.body);

Deno.test(
  "the server answers a file with its tag, its age, its type and CORS, and 304 while it is the same",
  site(async ({ dir, ask }) => {
    const answer = await ask(`/${PATH}?any=query`);
    strictEqual(answer.status, 200);
    strictEqual(text(answer), Deno.readTextFileSync(`${dir}/${PATH}`));
    const { etag } = answer.headers;
    deepStrictEqual(
      ["content-type", "cache-control", "access-control-allow-origin", "vary"].map((name) => answer.headers[name]),
      ["application/json; charset=utf-8", "public, max-age=60", "*", "Accept-Encoding"],
    );
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const same = await ask(`/${PATH}`, { "if-none-match": tag });
      deepStrictEqual([same.status, same.body.length, same.headers.etag], [304, 0, etag]);
    }
    strictEqual((await ask(`/${PATH}`, { "if-none-match": '"other"' })).status, 200);
    Deno.writeTextFileSync(`${dir}/${PATH}`, stringifyResults(sampleResults()));
    const changed = await ask(`/${PATH}`, { "if-none-match": etag });
    deepStrictEqual([changed.status, changed.headers.etag === etag], [200, false]);
  }),
);

Deno.test(
  "the server compresses for those who take gzip, under a tag of its own",
  site(async ({ ask }) => {
    const whole = await ask(`/${PATH}`);
    for (const accepted of ["gzip", "br, GZIP;q=0.5", "*"]) {
      const { headers, body } = await ask(`/${PATH}`, { "accept-encoding": accepted });
      strictEqual(headers["content-encoding"], "gzip", accepted);
      strictEqual(gunzipSync(body).toString(), text(whole));
      strictEqual(headers.etag, whole.headers.etag.replace(/"$/, '-gzip"'));
      strictEqual((await ask(`/${PATH}`, { "accept-encoding": "gzip", "if-none-match": headers.etag })).status, 304);
    }
    for (const accepted of ["gzip;q=0", "br", ""]) {
      strictEqual((await ask(`/${PATH}`, { "accept-encoding": accepted })).headers["content-encoding"], undefined);
    }
  }),
);

Deno.test(
  "the server gives one range of bytes, and the whole where ranges are several or of something older",
  site(async ({ ask }) => {
    const whole = text(await ask(`/${PATH}`));
    const size = whole.length;
    const RANGES: [string, number, string | undefined, string | undefined][] = [
      ["bytes=0-9", 206, `bytes 0-9/${size}`, whole.slice(0, 10)],
      ["bytes=5-", 206, `bytes 5-${size - 1}/${size}`, whole.slice(5)],
      ["bytes=-3", 206, `bytes ${size - 3}-${size - 1}/${size}`, whole.slice(-3)],
      ["bytes=0-999999999", 206, `bytes 0-${size - 1}/${size}`, whole],
      [`bytes=${size}-`, 416, `bytes */${size}`, ""],
      ["bytes=-0", 416, `bytes */${size}`, ""],
      ["bytes=0-1,3-4", 200, undefined, whole],
      ["bytes=9-5", 200, undefined, whole],
      ["bytes=-", 200, undefined, whole],
      ["lines=1-2", 200, undefined, whole],
    ];
    for (const [range, status, contentRange, body] of RANGES) {
      const answer = await ask(`/${PATH}`, { range, "accept-encoding": status === 206 ? "gzip" : "" });
      deepStrictEqual([answer.status, answer.headers["content-range"]], [status, contentRange], range);
      strictEqual(text(answer), body, range);
    }
    const old = await ask(`/${PATH}`, { range: "bytes=0-9", "if-range": '"older"' });
    strictEqual(old.status, 200);
  }),
);

Deno.test(
  "the server answers nothing from outside its folder, hidden, linked, too large or of another type",
  site(async ({ dir, ask }) => {
    Deno.writeTextFileSync(`${dir}/notes.txt`, SECRET);
    Deno.writeFileSync(`${dir}/large.json`, new Uint8Array(8 * 2 ** 20 + 1));
    for (
      const target of [
        ...ESCAPES,
        "/notes.txt",
        "/large.json",
        "/mla_decode",
        "/mla_decode/",
        "/a/".repeat(50),
        "",
        "x",
      ]
    ) {
      const answer = await ask(target);
      strictEqual(answer.status, 404, target);
      ok(!text(answer).includes(SECRET), target);
    }
  }),
);

Deno.test(
  "the server takes GET, HEAD and OPTIONS, and no bodies",
  site(async ({ ask }) => {
    strictEqual((await ask(`/${PATH}`, {}, "HEAD")).status, 200);
    const preflight = await ask(`/${PATH}`, { origin: "https://elsewhere.example" }, "OPTIONS");
    deepStrictEqual(
      [preflight.status, preflight.headers["access-control-allow-methods"]],
      [204, "GET, HEAD, OPTIONS"],
    );
    for (const method of ["POST", "PUT", "DELETE", "TRACE"]) {
      const { status, headers } = await ask(`/${PATH}`, {}, method);
      deepStrictEqual([status, headers.allow, headers.connection], [405, "GET, HEAD, OPTIONS", "close"], method);
    }
    strictEqual((await ask(`/${PATH}`, { "content-length": "5" })).status, 413);
    strictEqual((await ask(`/${PATH}`, { "transfer-encoding": "chunked" })).status, 413);
  }),
);

Deno.test(
  "the server's pages show what the files say as text, load nothing, and allow nothing but their own style",
  site(async ({ dir, ask }) => {
    const name = '<script>alert("&")</script>';
    const path = `mla_decode/cuda/script-alert-script/heads16-batch1-fp8_e4m3.json`;
    await writeResults(dir, { ...sampleResults(), device: { ...sampleResults().device, name } });
    const index = await ask("/");
    const page = await ask(`/${path.replace(".json", ".html")}`);
    for (const answer of [index, page]) {
      strictEqual(answer.status, 200);
      const shown = text(answer);
      ok(!shown.includes("<script") && shown.includes("&#60;script&#62;alert(&#34;&#38;&#34;)"), shown);
      ok(!/\b(?:src|href)="(?!\/)/.test(shown), "only links within the site");
      const style = /<style>(.*?)<\/style>/s.exec(shown)![1];
      const hash = createHash("sha256").update(style).digest("base64");
      match(answer.headers["content-security-policy"], /^default-src 'none'; style-src 'sha256-/);
      ok(answer.headers["content-security-policy"].includes(hash), "the policy admits the page's style");
    }
    match(text(index), /href="\/mla_decode\/cuda\/nvidia-h200\/heads16-batch1-fp8_e4m3.html"/);
    match(text(page), /BLOCK_N 64, num_stages 3/);
  }),
);

Deno.test(
  "the server says how it is, and what is missing where there is no index",
  site(async ({ dir, ask }) => {
    deepStrictEqual([(await ask("/healthz")).status, text(await ask("/metrics"))], [200, "metrics\n"]);
    Deno.removeSync(`${dir}/index.json`);
    match(text(await ask("/")), /deno run tune index/);
    Deno.renameSync(dir, `${dir}-gone`);
    strictEqual((await ask("/healthz")).status, 503);
    strictEqual((await ask(`/${PATH}`)).status, 404);
    Deno.renameSync(`${dir}-gone`, dir);
  }),
);

Deno.test(
  "FolderFiles holds no more than it may, whatever is asked for",
  site(async ({ dir }) => {
    const files = new FolderFiles(dir, 10_000);
    for (let i = 0; i < 20; i++) {
      Deno.writeTextFileSync(`${dir}/${i}.json`, String(i).repeat(1000));
      strictEqual((await files.get(`${i}.json`))!.body.length, 1000 * String(i).length);
      ok(files.bytes <= 10_000, `${files.bytes} bytes`);
    }
    ok(files.bytes > 5000);
    await rejects(Deno.stat(`${dir}/none.json`));
    strictEqual(await files.get("none.json"), undefined);
  }),
);
