import assert from "node:assert/strict";
import { cacheFolder, cacheKey, CompileCache } from "./compile_cache.ts";

const unit = { label: "k", source: "source", headers: { "a.cuh": "a" }, options: ["-DX=1"] };
const compiled = { cubin: new Uint8Array([10, 0, 255, 10]), log: "line 1\nline 2" };

async function files(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const level of Deno.readDir(folder)) {
    for await (const { name } of Deno.readDir(`${folder}/${level.name}`)) found.push(`${folder}/${level.name}/${name}`);
  }
  return found;
}

Deno.test("cacheKey() changes with compiler, options, source and headers, and not with the label", () => {
  const key = cacheKey("NVRTC 13.0", unit);
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.equal(cacheKey("NVRTC 13.0", { ...unit, label: "other" }), key);
  const others = [
    cacheKey("NVRTC 12.8", unit),
    cacheKey("NVRTC 13.0", { ...unit, options: ["-DX=2"] }),
    cacheKey("NVRTC 13.0", { ...unit, source: "source " }),
    cacheKey("NVRTC 13.0", { ...unit, headers: { "a.cuh": "b" } }),
  ];
  assert.equal(new Set([key, ...others]).size, 5);
});

Deno.test("CompileCache gives back what it was given, and leaves nothing beside it", async () => {
  const folder = await Deno.makeTempDir();
  const cache = new CompileCache(folder);
  const key = cacheKey("c", unit);
  assert.equal(await cache.get(key), undefined);
  await cache.put(key, compiled);
  assert.deepEqual(await cache.get(key), compiled);
  assert.equal((await files(folder)).length, 1);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("CompileCache takes a damaged entry for none", async () => {
  const folder = await Deno.makeTempDir();
  const cache = new CompileCache(folder);
  const key = cacheKey("c", unit);
  await cache.put(key, compiled);
  const [path] = await files(folder);
  const whole = await Deno.readFile(path);
  const damaged = whole.slice();
  damaged[damaged.length - 2] ^= 1;
  for (const bytes of [damaged, whole.slice(0, -1), new Uint8Array(), new TextEncoder().encode("{}\n")]) {
    await Deno.writeFile(path, bytes);
    assert.equal(await cache.get(key), undefined);
  }
  await cache.put(key, compiled);
  assert.deepEqual(await cache.get(key), compiled);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("CompileCache without a folder, or with one that cannot be written, does nothing", async () => {
  for (const folder of [undefined, "/proc/kvtune"]) {
    const cache = new CompileCache(folder);
    await cache.put("00ff", compiled);
    assert.equal(await cache.get("00ff"), undefined);
  }
});

Deno.test("cacheFolder() prefers KVTUNE_CACHE to XDG_CACHE_HOME to the home folder", () => {
  const folder = (env: Record<string, string>) => cacheFolder((name) => env[name]);
  assert.equal(folder({ HOME: "/h", XDG_CACHE_HOME: "/x", KVTUNE_CACHE: "/k" }), "/k/cuda");
  assert.equal(folder({ HOME: "/h", XDG_CACHE_HOME: "/x" }), "/x/kvtune/cuda");
  assert.equal(folder({ HOME: "/h" }), "/h/.cache/kvtune/cuda");
  assert.equal(folder({}), undefined);
});
