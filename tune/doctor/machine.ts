/** This machine, for the doctor's checks. */
import { existsSync } from "node:fs";
import type { Machine } from "./checks.ts";

const LIBRARY_DIRS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
  "/usr/local/cuda/lib64",
  "/usr/local/nvidia/lib64",
  "/usr/lib/wsl/lib",
];
const MANIFEST_DIRS = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/nvidia/share/vulkan/icd.d"];

/** The machine that this process runs on. */
export const thisMachine: Machine = {
  os: Deno.build.os,
  findLibrary(names) {
    const dirs = [...(Deno.env.get("LD_LIBRARY_PATH") ?? "").split(":").filter((dir) => dir !== ""), ...LIBRARY_DIRS];
    for (const name of names) {
      const path = dirs.map((dir) => `${dir}/${name}`).find(existsSync);
      if (path) return path;
    }
  },
  vulkanDrivers() {
    const named = (Deno.env.get("VK_DRIVER_FILES") ?? Deno.env.get("VK_ICD_FILENAMES") ?? "").split(":");
    return [...named.filter((path) => path !== "" && existsSync(path)), ...MANIFEST_DIRS.flatMap(manifests)];
  },
  findPythonPackage(name) {
    const home = Deno.env.get("HOME") ?? "";
    const roots = [
      Deno.env.get("VIRTUAL_ENV") ?? "",
      "/usr/local",
      "/usr",
      `${home}/.local`,
      ...folders(`${home}/.pyenv/versions`),
      ...folders("/opt").map((dir) => `${dir}/.venv`),
    ].filter((root) => root !== "");
    const sites = roots.flatMap((root) => folders(`${root}/lib`))
      .filter((dir) => /\/python3[^/]*$/.test(dir))
      .flatMap((dir) => [`${dir}/site-packages`, `${dir}/dist-packages`]);
    return sites.map((site) => `${site}/${name}`).find(existsSync);
  },
};

function manifests(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter(({ name }) => name.endsWith(".json")).map(({ name }) => `${dir}/${name}`);
  } catch {
    return [];
  }
}

function folders(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter(({ isFile }) => !isFile).map(({ name }) => `${dir}/${name}`).sort();
  } catch {
    return [];
  }
}

/** True on Debian, Ubuntu and their kin, where `apt-get` installs things. */
export function isDebian(): boolean {
  try {
    return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(Deno.readTextFileSync("/etc/os-release"));
  } catch {
    return false;
  }
}
