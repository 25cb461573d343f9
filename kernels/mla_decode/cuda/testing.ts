/** Devices and configs for tests. */
import type { DeviceInfo } from "../../devices/device.ts";
import { brokenConstraint, type Config, narrow, sampleConfig } from "../../space.ts";
import type { MlaDecodeProblem } from "../problem.ts";
import { type Path, PATHS } from "./geometry.ts";
import { cudaMlaDecode } from "./program.ts";

/** What has two blocks bring each other their rows, with more than 64 heads. */
export const CLUSTERS = { path: ["many_heads_fp8"], cluster_size: ["2"] };

/** So many admitted configs of every path that the device has, drawn at random from those with the given values. */
export function drawConfigs(
  problem: MlaDecodeProblem,
  info: DeviceInfo,
  perPath: number,
  random: () => number,
  only: Readonly<Record<string, readonly string[]>> = {},
): Config[] {
  const space = cudaMlaDecode.space(problem, info);
  const paths = space.params.find(({ name }) => name === "path")!.values as Path[];
  return paths.filter((path) => !only.path || only.path.includes(path)).flatMap((path) => {
    const values = Object.entries(PATHS[path].values(problem)).map(([name, values]) => [name, values.map(String)]);
    const ofPath = narrow(space, { ...Object.fromEntries(values), ...only, path: [path] });
    const configs: Config[] = [];
    for (let tries = 0; tries < 5000 && configs.length < perPath; tries++) {
      const config = sampleConfig(ofPath, random);
      if (!brokenConstraint(space, config)) configs.push(config);
    }
    return configs;
  });
}

/** An H200 as its driver describes it, and the same with another compute capability. */
export function testDevice(computeCapability = 90): DeviceInfo {
  return {
    backend: "cuda",
    index: 0,
    name: "NVIDIA H200",
    arch: `sm_${computeCapability}`,
    driver: "580.159.04 (CUDA 13.0)",
    smCount: 132,
    smCountSource: "driver",
    software: false,
    limits: {
      workgroupStorageBytes: 232448,
      workgroupInvocations: 1024,
      memoryBytes: 150109880320,
      computeCapability,
      sharedBytesPerSm: 233472,
      sharedBytesReserved: 1024,
    },
    features: computeCapability >= 90 ? ["pdl", "clusters"] : [],
  };
}
