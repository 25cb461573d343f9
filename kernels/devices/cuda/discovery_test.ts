import assert from "node:assert/strict";
import { driverPaths, headersMajor, nvrtcCandidates } from "./discovery.ts";

/** A root with these files, and its environment. */
async function place(files: Record<string, string>, env: Record<string, string> = {}) {
  const root = await Deno.makeTempDir();
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(`${root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    await Deno.writeTextFile(`${root}${path}`, text);
  }
  return {
    root,
    env: (name: string) => env[name]?.replaceAll("ROOT", root),
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

const CUDA_13 = "#define CUDA_VERSION 13000\n";
const CUDA_12 = "#define CUDART_VERSION  12080\n";

Deno.test("nvrtcCandidates() finds the toolkit of CUDA_HOME before the usual one", async () => {
  await using machine = await place({
    "/usr/local/cuda/lib64/libnvrtc.so.13": "",
    "/usr/local/cuda/include/cuda_fp16.h": "",
    "/mine/lib64/libnvrtc.so.13": "",
    "/mine/include/cuda_fp16.h": "",
    "/mine/include/cccl/nv/target": "",
  }, { CUDA_HOME: "ROOT/mine" });
  const [first, second] = nvrtcCandidates(13, machine);
  const root = await Deno.realPath(machine.root);
  assert.equal(first.path, `${machine.root}/mine/lib64/libnvrtc.so.13`);
  assert.deepEqual(first.includes, [`${root}/mine/include`, `${root}/mine/include/cccl`]);
  assert.equal(second.path, `${machine.root}/usr/local/cuda/lib64/libnvrtc.so.13`);
});

Deno.test("nvrtcCandidates() finds Python's packages, of CUDA 13 and of CUDA 12", async () => {
  const site = "/opt/torch/.venv/lib/python3.12/site-packages/nvidia";
  const dist = "/usr/lib/python3/dist-packages/nvidia";
  await using machine = await place({
    [`${site}/cu13/lib/libnvrtc.so.13`]: "",
    [`${site}/cu13/include/cuda_fp16.h`]: "",
    [`${dist}/cuda_nvrtc/lib/libnvrtc.so.12`]: "",
    [`${dist}/cuda_runtime/include/cuda_fp16.h`]: "",
    [`${dist}/cuda_runtime/include/cuda_runtime_api.h`]: CUDA_12,
  });
  const root = await Deno.realPath(machine.root);
  const [thirteen, , twelve] = nvrtcCandidates(13, machine);
  assert.equal(thirteen.path, `${machine.root}${site}/cu13/lib/libnvrtc.so.13`);
  assert.deepEqual(thirteen.includes, [`${root}${site}/cu13/include`]);
  assert.equal(twelve.path, `${machine.root}${dist}/cuda_nvrtc/lib/libnvrtc.so.12`);
  assert.deepEqual(twelve.includes, [`${root}${dist}/cuda_runtime/include`]);
});

Deno.test("nvrtcCandidates() puts compilers that the driver is too old for last", async () => {
  await using machine = await place({
    "/usr/local/cuda-13.0/lib64/libnvrtc.so.13": "",
    "/usr/local/cuda-12.8/lib64/libnvrtc.so.12": "",
  });
  const paths = (major: number) => nvrtcCandidates(major, machine).map(({ path }) => path.replace(machine.root, ""));
  const twelve = ["/usr/local/cuda-12.8/lib64/libnvrtc.so.12", "libnvrtc.so.12"];
  const thirteen = ["/usr/local/cuda-13.0/lib64/libnvrtc.so.13", "libnvrtc.so.13"];
  assert.deepEqual(paths(12), [...twelve, ...thirteen]);
  assert.deepEqual(paths(13), [...thirteen, ...twelve]);
});

Deno.test("nvrtcCandidates() gives a compiler without headers those of its own major version", async () => {
  await using machine = await place({
    "/usr/local/cuda-12.8/include/cuda_fp16.h": "",
    "/usr/local/cuda-12.8/include/cuda.h": "#define CUDA_VERSION 12080\n",
    "/usr/local/cuda-13.0/include/cuda_fp16.h": "",
    "/usr/local/cuda-13.0/include/cuda.h": CUDA_13,
    "/usr/lib64/libnvrtc.so.12": "",
  });
  const root = await Deno.realPath(machine.root);
  const found = nvrtcCandidates(12, machine).find(({ path }) => path.endsWith("/usr/lib64/libnvrtc.so.12"));
  assert.deepEqual(found?.includes, [`${root}/usr/local/cuda-12.8/include`]);
  assert.equal(headersMajor([`${root}/usr/local/cuda-13.0/include`]), 13);
});

Deno.test("KVTUNE_LIBRARY_PATH and LD_LIBRARY_PATH are searched for all three libraries", async () => {
  await using machine = await place({ "/site/lib/libnvrtc.so.13": "", "/site/include/cuda_fp16.h": "" }, {
    KVTUNE_LIBRARY_PATH: "ROOT/site/lib:",
    LD_LIBRARY_PATH: "/other",
  });
  const [first] = nvrtcCandidates(13, machine);
  assert.equal(first.path, `${machine.root}/site/lib/libnvrtc.so.13`);
  assert.deepEqual(first.includes, [`${await Deno.realPath(machine.root)}/site/include`]);
  const libcuda = [`libcuda.so.1`, `${machine.root}/site/lib/libcuda.so.1`, "/other/libcuda.so.1"];
  assert.deepEqual(driverPaths(machine).slice(0, 3), libcuda);
});

Deno.test("Overrides leave nothing else to be tried", async () => {
  await using machine = await place({}, { KVTUNE_LIBCUDA: "/a/libcuda.so.1", KVTUNE_NVRTC: "/b/libnvrtc.so.12" });
  assert.deepEqual(driverPaths(machine), ["/a/libcuda.so.1"]);
  assert.deepEqual(nvrtcCandidates(13, machine), [{ path: "/b/libnvrtc.so.12", includes: [] }]);
});
