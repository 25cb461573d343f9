import { match, ok, strictEqual } from "node:assert";
import { resultsPath, writeIndexes, writeResults } from "../../results/mod.ts";
import { sampleResults } from "../../results/testing/samples.ts";
import { serving } from "../../results/testing/serve.ts";
import { inFolder, simulated, simulatedCommand } from "../testing/command.ts";

Deno.test(
  "tune serve says where it listens, serves the folder, and ends its own process and the server's on SIGTERM",
  inFolder(async (folder) => {
    await writeResults(`${folder}/results`, sampleResults());
    await writeIndexes(`${folder}/results`);
    const process = simulatedCommand(["serve", "--results", `${folder}/results`, "--port", "0"]).spawn();
    const output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await output.read();
    const url = /^Serving .* at (http:\/\/127\.0\.0\.1:\d+\/)\n$/.exec(value!)?.[1];
    ok(url, value);
    const response = await fetch(url + resultsPath(sampleResults()), { headers: { connection: "close" } });
    strictEqual(await response.text(), Deno.readTextFileSync(`${folder}/results/${resultsPath(sampleResults())}`));
    process.kill("SIGTERM");
    strictEqual((await process.status).code, 0);
    strictEqual((await output.read()).done, true);
    await process.stderr.cancel();
    // The server's process is gone with it: nobody listens.
    strictEqual(await fetch(url).then((response) => response.status, () => "refused"), "refused");
  }),
);

Deno.test(
  "tune serve names an address that is taken",
  inFolder(async (folder) => {
    Deno.mkdirSync(`${folder}/results`);
    await using taken = serving(() => new Response());
    const { port } = new URL(taken.url);
    const { code, stderr } = await simulated(["serve", "--results", `${folder}/results`, "--port", port]);
    strictEqual(code, 1);
    match(stderr, new RegExp(`error: Cannot serve on 127.0.0.1:${port}: .*in use`));
  }),
);
