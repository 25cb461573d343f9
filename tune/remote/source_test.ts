import { match, strictEqual } from "node:assert";
import { sampleResults } from "../../results/testing/samples.ts";
import { serving } from "../../results/testing/serve.ts";
import { simulated } from "../testing/command.ts";

Deno.test("tune show reads a URL in a process that may connect to that host alone", async () => {
  const body = JSON.stringify(sampleResults());
  await using elsewhere = serving(() => new Response(body));
  await using server = serving((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/away") return Response.redirect(`${elsewhere.url}x.json`);
    return pathname === "/x.json" ? new Response(body) : new Response(null, { status: 404 });
  });
  const shown = await simulated(["show", `${server.url}x.json`]);
  match(shown.stdout, /mla_decode on NVIDIA H200 \(cuda, 132 SMs\)/);
  const missing = await simulated(["show", `${server.url}none.json`]);
  strictEqual(missing.code, 1);
  match(missing.stderr, /error: Cannot read results from ".*none.json": the status is 404 Not Found, expected 200 OK/);
  const away = await simulated(["show", `${server.url}away`]);
  strictEqual(away.code, 1);
  match(away.stderr, /Requires net access to/);
});
