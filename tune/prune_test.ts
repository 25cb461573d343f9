import { ok, strictEqual } from "node:assert";
import { resultsPath, writeIndexes, writeResults } from "../results/mod.ts";
import { sampleResults } from "../results/testing/samples.ts";
import { inFolder, simulated } from "./testing/command.ts";

Deno.test(
  "tune prune takes stale, old and untuned entries, and the file and the index with the last of them",
  inFolder(async (folder) => {
    const dir = `${folder}/results`;
    await writeResults(dir, sampleResults([[132, 1024], [132, 4096]]));
    await writeIndexes(dir);
    const path = `${dir}/${resultsPath(sampleResults())}`;
    const before = Deno.readTextFileSync(path);
    const prune = async (...rules: string[]) =>
      JSON.parse((await simulated(["prune", "--results", dir, "--json", ...rules])).stdout);
    strictEqual((await prune("--stale", "--dry-run")).files[0].pruned.length, 2);
    strictEqual((await prune("--before", "2020-01-01")).files.length, 0);
    strictEqual((await prune("--untuned")).files.length, 0);
    strictEqual(Deno.readTextFileSync(path), before);
    strictEqual((await prune("--stale")).files[0].left, 0);
    ok(!Deno.readTextFileSync(`${dir}/index.json`).includes("heads16"));
    strictEqual((await writeIndexes(dir, { dryRun: true })).outdated.length, 0);
  }),
);
