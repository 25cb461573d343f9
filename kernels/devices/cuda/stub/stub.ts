/**
 * Builds the libraries of this folder and opens their controls: CUDA's three libraries without a GPU, for tests.
 *
 * @module
 */
import { Driver } from "../driver.ts";
import { Nvrtc } from "../nvrtc.ts";

/** Where CUDA's headers may be; with them the stub is checked against the real prototypes. */
const HEADERS = ["/usr/local/cuda/include"];

const CONTROLS = {
  stub_log: { parameters: [], result: "pointer" },
  stub_reset: { parameters: [], result: "void" },
  stub_fail: { parameters: ["buffer", "i32"], result: "void" },
  stub_allocated: { parameters: [], result: "i64" },
  stub_free_bytes: { parameters: ["usize"], result: "void" },
  stub_layout: { parameters: ["buffer"], result: "void" },
  stub_has_real_header: { parameters: [], result: "i32" },
  stub_read_shapes: { parameters: ["buffer", "buffer"], result: "void" },
} as const;

const COMPILER_CONTROLS = { stub_compiled: { parameters: [], result: "i32" } } as const;

const NVML_CONTROLS = {
  stub_reasons: { parameters: ["u64"], result: "void" },
  stub_processes: { parameters: ["u32", "u32"], result: "void" },
  stub_layout: { parameters: ["buffer"], result: "void" },
} as const;

/**
 * The environment without the loader's variables: with them set, Deno starts no child under a scoped run permission.
 * GPU hosts often set LD_LIBRARY_PATH.
 */
export function childEnvironment(more: Record<string, string> = {}): Pick<Deno.CommandOptions, "clearEnv" | "env"> {
  const kept = Object.entries(Deno.env.toObject()).filter(([name]) => !/^(LD|DYLD)_/.test(name));
  return { clearEnv: true, env: { ...Object.fromEntries(kept), ...more } };
}

/** The folder with the built libraries, or undefined where there is no C compiler. Built once a process. */
let built: string | undefined;

/** True where the stubs can be built. Says so on stderr where not: a skipped test must be seen. */
export const hasCompiler: boolean = await (async () => {
  try {
    return (await new Deno.Command("cc", { args: ["--version"], ...childEnvironment() }).output()).success;
  } catch (error) {
    console.error(`SKIPPED: the tests of CUDA's FFI layer, since cc cannot be run: ${(error as Error).message}`);
    return false;
  }
})();

async function compile(source: string, output: string): Promise<void> {
  const path = new URL(source, import.meta.url).pathname;
  const includes = HEADERS.map((folder) => `-I${folder}`);
  const args = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", ...includes, "-o", output, path];
  const { success, stderr } = await new Deno.Command("cc", { args, ...childEnvironment() }).output();
  if (!success) throw new Error(`Cannot build ${source}: ${new TextDecoder().decode(stderr)}`);
}

/** Builds the stubs into a folder that goes when the process does. */
export async function stubFolder(): Promise<string> {
  if (built !== undefined) return built;
  const folder = await Deno.makeTempDir({ prefix: "kvtune-stub-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  await compile("libcuda.c", `${folder}/libcuda.so.1`);
  await compile("libnvrtc.c", `${folder}/libnvrtc.so.13`);
  await compile("libnvml.c", `${folder}/libnvidia-ml.so.1`);
  return built = folder;
}

/** The stub driver, and what a test does to it. */
export interface StubDriver extends Disposable {
  readonly driver: Driver;
  readonly controls: Deno.DynamicLibrary<typeof CONTROLS>["symbols"];
  /** What was asked since the start, one line a call. */
  log(): string[];
  /** Lets the next call of a function fail once; codes from 700 stay for every later call. */
  fail(name: string, code: number): void;
  /** Bytes that are allocated on the device. */
  allocated(): number;
}

/** Opens a fresh stub driver. */
export async function stubDriver(): Promise<StubDriver> {
  const path = `${await stubFolder()}/libcuda.so.1`;
  const library = Deno.dlopen(path, CONTROLS);
  library.symbols.stub_reset();
  const driver = new Driver([path]);
  return {
    driver,
    controls: library.symbols,
    log: () => Deno.UnsafePointerView.getCString(library.symbols.stub_log()!).trimEnd().split("\n"),
    fail: (name, code) => library.symbols.stub_fail(new TextEncoder().encode(name + "\0"), code),
    allocated: () => Number(library.symbols.stub_allocated()),
    [Symbol.dispose]() {
      driver.close();
      library.close();
    },
  };
}

/** Opens the stub compiler. */
export async function stubNvrtc(): Promise<{ nvrtc: Nvrtc; compiled: () => number } & Disposable> {
  const path = `${await stubFolder()}/libnvrtc.so.13`;
  const library = Deno.dlopen(path, COMPILER_CONTROLS);
  const nvrtc = new Nvrtc([{ path, includes: ["/headers"] }]);
  const before = library.symbols.stub_compiled();
  return {
    nvrtc,
    compiled: () => library.symbols.stub_compiled() - before,
    [Symbol.dispose]() {
      nvrtc.close();
      library.close();
    },
  };
}

/** Opens the stub NVML's controls. */
export async function stubNvml(): Promise<
  { path: string; symbols: Deno.DynamicLibrary<typeof NVML_CONTROLS>["symbols"] } & Disposable
> {
  const path = `${await stubFolder()}/libnvidia-ml.so.1`;
  const library = Deno.dlopen(path, NVML_CONTROLS);
  return { path, symbols: library.symbols, [Symbol.dispose]: () => library.close() };
}
