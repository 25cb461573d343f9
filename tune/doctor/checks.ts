/**
 * What each backend needs on this machine, whether it is there, and the command that brings it.
 *
 * @module
 */
import { type Backends, findDevices } from "../backends.ts";

/** A command that mends something, as arguments; run by `--fix` where `automatic`. */
export interface Fix {
  readonly args: readonly string[];
  /** False where it needs a decision that only a person can make. */
  readonly automatic: boolean;
}

/** One thing that a backend needs. */
export interface Finding {
  readonly backend: string;
  readonly what: string;
  readonly ok: boolean;
  /** What was found, or what was looked for in vain. */
  readonly detail: string;
  readonly fix?: Fix;
}

/** The machine as the checks see it; tests give another. */
export interface Machine {
  readonly os: typeof Deno.build.os;
  /** Paths of files that match one of these names in the system's library folders. */
  findLibrary(names: readonly string[]): string | undefined;
  /** Paths of the Vulkan drivers' manifests. */
  vulkanDrivers(): string[];
  /** Folder of an installed Python package, such as `triton` or `nvidia/cuda_nvrtc`. */
  findPythonPackage(name: string): string | undefined;
}

/** By its path: the permission to run it then names one program, and is quiet on systems that lack it. */
export const APT_GET = "/usr/bin/apt-get";

const APT = [APT_GET, "install", "-y", "-q", "--no-install-recommends"];
const WEBGPU_FIX: Fix = { args: [...APT, "libvulkan1", "mesa-vulkan-drivers"], automatic: true };
const PIP = ["python3", "-m", "pip", "install"];

/** Checks of one backend, in the order in which they depend on each other. */
type Checks = (machine: Machine, backends: Backends) => Promise<Finding[]>;

const webgpu: Checks = async (machine, backends) => {
  const found = backends.webgpu ? await findDevices("webgpu", backends.webgpu) : { devices: [], error: "not built in" };
  const names = found.devices.map(({ name }) => name).join(", ");
  const check = (what: string, found: string, missing: string): Finding => (
    { backend: "webgpu", what, ok: found !== "", detail: found || missing, ...(!found && { fix: WEBGPU_FIX }) }
  );
  const adapter = check("adapter", names, found.error ?? "none: the driver offers no device");
  if (machine.os !== "linux") return [adapter]; // Metal and Direct3D come with the system.
  // Without Vulkan an adapter may still come from OpenGL, with limits that are too small.
  return [
    check("Vulkan loader", machine.findLibrary(["libvulkan.so.1"]) ?? "", "no libvulkan.so.1"),
    check("Vulkan driver", machine.vulkanDrivers().join(", "), "no manifest in the folders vulkan/icd.d"),
    adapter,
  ];
};

const cuda: Checks = (machine) => {
  const driver = machine.findLibrary(["libcuda.so.1"]);
  const nvrtc = machine.findLibrary(["libnvrtc.so.13", "libnvrtc.so.12"]) ??
    machine.findPythonPackage("nvidia/cu13") ?? machine.findPythonPackage("nvidia/cuda_nvrtc");
  return Promise.resolve([
    {
      backend: "cuda",
      what: "NVIDIA driver",
      ok: driver !== undefined,
      detail: driver ?? "no libcuda.so.1",
      ...(!driver && { fix: { args: [APT_GET, "install", "nvidia-driver"], automatic: false } }),
    },
    {
      backend: "cuda",
      what: "run-time compiler",
      ok: nvrtc !== undefined,
      detail: nvrtc ?? "no libnvrtc.so.13 or .12",
      ...(!nvrtc && {
        fix: { args: [...PIP, "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cuda-cccl"], automatic: false },
      }),
    },
  ]);
};

const triton: Checks = async (_machine, backends) => {
  const found = backends.triton ? await findDevices("triton", backends.triton) : { devices: [], error: "not built in" };
  const fix: Fix = { args: [...PIP, "triton", "torch", "numpy"], automatic: false };
  const check = (what: string, ok: boolean, detail: string): Finding => (
    { backend: "triton", what, ok, detail, ...(!ok && { fix }) }
  );
  const [device] = found.devices;
  return [
    // The worker's own words: they name the Python, and what it lacks.
    check("Python with Triton and PyTorch", found.error === undefined, found.error ?? device?.driver ?? "found"),
    check("device", device !== undefined, device?.name ?? "none that PyTorch can use"),
  ];
};

const CHECKS = { webgpu, cuda, triton } satisfies Record<string, Checks>;

/** The backends that the doctor knows. */
export const DOCTOR_BACKENDS = Object.keys(CHECKS) as (keyof typeof CHECKS)[];

/** Examines the backends named, or all. */
export async function examine(
  machine: Machine,
  backends: Backends,
  only: readonly (keyof typeof CHECKS)[] = DOCTOR_BACKENDS,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of only) findings.push(...await CHECKS[name](machine, backends));
  return findings;
}

/** The distinct commands that would mend what was found, in order. */
export function fixesOf(findings: readonly Finding[]): Fix[] {
  const fixes = new Map<string, Fix>();
  for (const { ok, fix } of findings) if (!ok && fix) fixes.set(fix.args.join(" "), fix);
  return [...fixes.values()];
}
