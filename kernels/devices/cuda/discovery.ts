/**
 * Where NVIDIA's libraries and headers live: what the user names, the loader's own folders, the toolkit's usual homes,
 * and the packages that Python brings along.
 *
 * An override names one file and nothing else is tried: `KVTUNE_LIBCUDA`, `KVTUNE_NVRTC`, `KVTUNE_NVML`. The folders of
 * `KVTUNE_LIBRARY_PATH` are searched like those of `LD_LIBRARY_PATH`: Deno hands the latter to a child process only with
 * the unscoped run permission, so a worker may have to get it under another name.
 *
 * @module
 */
import { LibraryError, type Tried } from "./errors.ts";

/** A folder tree with NVRTC, CUDA's headers, or both. */
export interface Home {
  readonly libraries: readonly string[];
  readonly includes: readonly string[];
}

/** Where to look. Tests give a root of their own. */
export interface Place {
  readonly env?: (name: string) => string | undefined;
  /** Put before every absolute path that is not from the environment. */
  readonly root?: string;
}

/** NVRTC's major versions that we know, newest first. */
const NVRTC_MAJORS = [13, 12] as const;

/** The environment, or nothing where it may not be read. */
function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name) || undefined;
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch { // Absent, or not ours to read: either way it cannot serve.
    return false;
  }
}

/** Names in a folder that match, in reverse order: cuda-13.0 before cuda-12.8. Empty where there is no such folder. */
function matching(folder: string, pattern: RegExp): string[] {
  try {
    const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => pattern.test(name));
    return names.sort((a, b) => b.localeCompare(a, "en", { numeric: true })).map((name) => `${folder}/${name}`);
  } catch {
    return [];
  }
}

/** Files in the folder of `path` whose names match; none where `path` is a bare name. */
export function beside(path: string, pattern: RegExp): string[] {
  return path.includes("/") ? matching(path.slice(0, path.lastIndexOf("/")), pattern) : [];
}

/** Folders that the user's environment adds to the loader's. */
function searchPath(env: (name: string) => string | undefined): string[] {
  const folders = ["KVTUNE_LIBRARY_PATH", "LD_LIBRARY_PATH"].flatMap((name) => (env(name) ?? "").split(":"));
  return [...new Set(folders.filter((folder) => folder !== ""))];
}

/** A toolkit as NVIDIA's installers lay it out. */
function toolkitHome(folder: string): Home {
  return {
    libraries: [
      `${folder}/lib64`,
      `${folder}/targets/x86_64-linux/lib`,
      `${folder}/targets/sbsa-linux/lib`,
      `${folder}/lib`,
    ],
    includes: [`${folder}/include`, `${folder}/targets/x86_64-linux/include`, `${folder}/targets/sbsa-linux/include`],
  };
}

/** NVIDIA's packages in one site-packages folder: one tree a major version since CUDA 13, one a component before. */
function pythonHomes(site: string): Home[] {
  const nvidia = `${site}/nvidia`;
  const component = (name: string) => `${nvidia}/${name}`;
  return [
    ...matching(nvidia, /^cu\d+$/).map((folder) => ({ libraries: [`${folder}/lib`], includes: [`${folder}/include`] })),
    {
      libraries: [`${component("cuda_nvrtc")}/lib`],
      includes: [`${component("cuda_runtime")}/include`, `${component("cuda_cccl")}/include`],
    },
  ];
}

/** site-packages of the Python environments that are active, on the PATH or in /opt, and of the system. */
function sitePackages(env: (name: string) => string | undefined, root: string): string[] {
  const prefixes = [env("VIRTUAL_ENV"), env("CONDA_PREFIX")].filter((prefix) => prefix !== undefined);
  for (const folder of (env("PATH") ?? "").split(":")) {
    if (folder.endsWith("/bin") && exists(`${folder}/python3`)) prefixes.push(folder.slice(0, -"/bin".length));
  }
  for (const folder of matching(`${root}/opt`, /./)) prefixes.push(`${folder}/.venv`, folder);
  const home = env("HOME");
  if (home) prefixes.push(`${home}/.local`);
  prefixes.push(`${root}/usr/local`, `${root}/usr`);
  const versions = [...new Set(prefixes)].flatMap((prefix) => matching(`${prefix}/lib`, /^python3(\.\d+)?$/));
  return [...new Set(versions)].flatMap((folder) => [`${folder}/site-packages`, `${folder}/dist-packages`]).filter(
    exists,
  );
}

/** Every home that could be one, whether it exists or not, in the order in which they are preferred. */
export function homes(place: Place = {}): Home[] {
  const env = place.env ?? environment;
  const root = place.root ?? "";
  const named = [env("CUDA_HOME"), env("CUDA_PATH")].filter((folder) => folder !== undefined);
  const usual = [`${root}/usr/local/cuda`, ...matching(`${root}/usr/local`, /^cuda-\d/)];
  const system: Home = {
    libraries: [`${root}/usr/lib/x86_64-linux-gnu`, `${root}/usr/lib/aarch64-linux-gnu`, `${root}/usr/lib64`],
    includes: [`${root}/usr/include`],
  };
  const conda = env("CONDA_PREFIX");
  return [
    ...[...new Set(named)].map(toolkitHome),
    ...usual.map(toolkitHome),
    ...(conda ? [toolkitHome(conda)] : []),
    ...searchPath(env).map((folder) => ({ libraries: [folder], includes: [`${folder}/../include`] })),
    ...sitePackages(env, root).flatMap(pythonHomes),
    system,
  ];
}

/** Paths of the CUDA driver, best first. A bare name asks the loader: LD_LIBRARY_PATH and ldconfig's folders. */
export function driverPaths(place: Place = {}): string[] {
  return systemLibrary("libcuda.so.1", "KVTUNE_LIBCUDA", place);
}

/** Paths of NVML, best first. */
export function nvmlPaths(place: Place = {}): string[] {
  return systemLibrary("libnvidia-ml.so.1", "KVTUNE_NVML", place);
}

function systemLibrary(name: string, override: string, place: Place): string[] {
  const env = place.env ?? environment;
  const root = place.root ?? "";
  const given = env(override);
  if (given) return [given];
  // Containers mount the driver's libraries into folders that no ldconfig has seen.
  const folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib"];
  const mounted = ["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/run/opengl-driver/lib"];
  const known = [...folders, ...mounted].map((folder) => `${root}${folder}`);
  return [name, ...[...searchPath(env), ...known].map((folder) => `${folder}/${name}`)];
}

/** A path of NVRTC to try, with the headers that belong to it. */
export interface NvrtcCandidate {
  readonly path: string;
  /** Folders for `-I`: those of the same home first. Empty where no home has CUDA's headers. */
  readonly includes: readonly string[];
}

/** Folders among `includes` that hold CUDA's headers, with CCCL's folder beside them, which `nv/target` is in. */
function headerFolders(includes: readonly string[]): string[] {
  if (!includes.some((folder) => exists(`${folder}/cuda_fp16.h`))) return [];
  const found = includes.flatMap((folder) => [folder, `${folder}/cccl`]).filter(exists);
  return [...new Set(found.map((folder) => Deno.realPathSync(folder)))]; // Toolkits link include/ to targets/…/include.
}

/** CUDA's major version by a header folder's own word, or undefined. */
export function headersMajor(folders: readonly string[]): number | undefined {
  for (const folder of folders) {
    for (const [file, macro] of [["cuda.h", "CUDA_VERSION"], ["cuda_runtime_api.h", "CUDART_VERSION"]]) {
      try {
        const version = Deno.readTextFileSync(`${folder}/${file}`).match(new RegExp(`#define\\s+${macro}\\s+(\\d+)`));
        if (version) return Math.floor(Number(version[1]) / 1000);
      } catch { // The next file may have it.
      }
    }
  }
  return undefined;
}

/**
 * Paths of NVRTC to try, best first.
 *
 * @param driverMajor CUDA's major version that the driver supports: it cannot load code of a newer major version, so
 * those come last.
 */
export function nvrtcCandidates(driverMajor: number, place: Place = {}): NvrtcCandidate[] {
  const env = place.env ?? environment;
  const all = homes(place);
  const withHeaders = all.map((home) => headerFolders(home.includes)).filter((folders) => folders.length > 0);
  const headersFor = (major: number) =>
    withHeaders.find((folders) => headersMajor(folders) === major) ?? withHeaders.at(0) ?? [];
  const given = env("KVTUNE_NVRTC");
  if (given) {
    const major = Number(given.match(/\.so\.(\d+)/)?.[1] ?? driverMajor);
    return [{ path: given, includes: headersFor(major) }];
  }
  const fits = NVRTC_MAJORS.filter((major) => major <= driverMajor);
  const newer = NVRTC_MAJORS.filter((major) => major > driverMajor);
  return [...fits, ...newer].flatMap((major) => {
    const name = `libnvrtc.so.${major}`;
    const found = all.flatMap(({ libraries, includes }) => {
      const own = headerFolders(includes);
      return libraries.map((folder) => `${folder}/${name}`).filter(exists)
        .map((path) => ({ path, includes: own.length > 0 ? own : headersFor(major) }));
    });
    return [...found, { path: name, includes: headersFor(major) }];
  });
}

/** Folders that were searched for CUDA's headers: for the error where there are none. */
export function searchedIncludes(place: Place = {}): string[] {
  return [...new Set(homes(place).flatMap((home) => home.includes))];
}

/**
 * Opens the first of `candidates` that opens.
 *
 * @throws {LibraryError} With every path that was tried and why it did not serve.
 */
export function openLibrary<S extends Deno.ForeignLibraryInterface, C extends { readonly path: string }>(
  what: string,
  candidates: readonly C[],
  symbols: S,
  hint: string,
): { library: Deno.DynamicLibrary<S>; candidate: C } {
  const tried: Tried[] = [];
  for (const candidate of candidates) {
    try {
      return { library: Deno.dlopen(candidate.path, symbols), candidate };
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      tried.push({ path: candidate.path, why: (error as Error).message.split("\n", 1)[0] });
    }
  }
  throw new LibraryError(what, tried, hint);
}
