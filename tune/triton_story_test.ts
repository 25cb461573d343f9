import { match, ok, strictEqual } from "node:assert";
import { tritonMissing } from "../kernels/devices/triton/testing.ts";
import { inFolder, tuneCommand } from "./testing/command.ts";

const ignore = await tritonMissing("the story of an installed server") !== undefined;
const README = new URL("../kernels/mla_decode/triton/README.md", import.meta.url);
const SERVERS = new URL("../kernels/mla_decode/triton/testing/servers", import.meta.url).pathname;

/** The commands of the story, with a length that the interpreter runs in a second, and places of the test's own. */
function story(folder: string): string[][] {
  const [, block] = /## From "196k[^]*?```sh\n([^]*?)```/.exec(Deno.readTextFileSync(README))!;
  ok(block.trim().split("\n").length < 10);
  return block.split("\n").filter((line) => line.startsWith("deno run tune ")).map((line) => {
    const args = line.replace(/#.*/, "").trim().split(/\s+/).slice(3);
    const shorter = args.map((arg) => ({ "192k": "64", "10m": "5s" })[arg] ?? arg);
    const own = ["--io-type", "f16", "--results", `${folder}/results`, "--journal", `${folder}/journal.db`];
    return args[0] === "sweep" ? [...shorter, ...own] : shorter;
  });
}

Deno.test({
  name: "The documented story leads from a slow length to the flags and the patch of an installed server",
  ignore,
  fn: inFolder(async (folder) => {
    const path = [SERVERS, Deno.env.get("PYTHONPATH")].filter((part) => part).join(":");
    const env = { TRITON_INTERPRET: "1", PYTHONPATH: path, KVTUNE_PYTHON: "python3" };
    const run = async (args: readonly string[], expected = 0) => {
      const { code, stdout, stderr } = await tuneCommand(args, env);
      strictEqual(code, expected, stderr + stdout);
      return stdout + stderr;
    };
    const [sweep, patch] = story(folder);
    const said = await run(sweep);
    const [, file] = /Results: (\S+)/.exec(said)!;
    match(file, /mla_decode_sglang\/triton\/triton-interpreter\/heads16-batch1-fp8_e4m3-io_f16-fp8_p\.json$/);
    const json = JSON.parse(Deno.readTextFileSync(file));
    const sm = Object.keys(json.configs)[0];
    // As if these had won: what wins in the interpreter says nothing.
    Object.assign(json.configs[sm]["64"], { BLOCK_N: 64, num_warps: 8, max_kv_splits: 3, merge_warps: 4 });
    Object.assign(json.configs[sm]["64"], { BLOCK_H: 16, num_stages: 2 });
    Deno.writeTextFileSync(file, JSON.stringify(json));
    const advice = await run(patch.map((arg) => arg === "FILE" ? file : arg));
    match(advice, /^--triton-attention-num-kv-splits 3$/m);
    match(advice, /hard-codes BLOCK_N: 32 → 64, num_warps: 4 → 8:/);
    match(advice, /^--- a\/sglang\/srt\/layers\/attention\/triton_ops\/decode_attention.py$/m);
    match(advice, /^- {4}BLOCK = 32\n\+ {4}BLOCK = 64$/m);
    match(advice, /^- {8}num_warps=4,\n\+ {8}num_warps=8,$/m);
    strictEqual(advice.match(/^\+ /gm)?.length, 2);
    match(await run(["sweep", "--implementation", "vllm", ...sweep.slice(3)], 1), /no module vllm\.v1\.attention/);
  }),
});

Deno.test("sweep refuses an installed server's kernel on another backend, and patch what is no such sweep's", async () => {
  const sweep = await tuneCommand(["sweep", "--implementation", "sglang", "--backend", "cuda"]);
  strictEqual(sweep.code, 2);
  match(sweep.stderr, /Cannot tune the kernel of sglang on --backend cuda, expected triton/);
  const other = "results/mla_decode/webgpu/nvidia-h200/heads16-batch1-fp8_e4m3.json";
  const patch = await tuneCommand(["patch", other]);
  strictEqual(patch.code, 2);
  match(patch.stderr, /its kernel is mla_decode, expected one of a sweep with --implementation sglang or vllm/);
});
