import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { simulatedBackends } from "../testing/simulated_backends.ts";
import { examine, fixesOf, type Machine } from "./checks.ts";

const BARE: Machine = {
  os: "linux",
  findLibrary: () => undefined,
  vulkanDrivers: () => [],
  findPythonPackage: () => undefined,
};
const BROKEN = { webgpu: { command: "deno", args: ["eval", "throw new Error('no driver')"] } };

Deno.test("examine() of a bare machine finds each backend missing something and names the mending command", async () => {
  const findings = await examine(BARE, BROKEN);
  deepStrictEqual([...new Set(findings.map(({ backend }) => backend))], ["webgpu", "cuda", "triton"]);
  for (const { ok, what } of findings) strictEqual(ok, false, what);
  const commands = fixesOf(findings).map(({ args }) => args.join(" "));
  ok(commands[0].includes("apt-get install") && commands[0].includes("mesa-vulkan-drivers"), commands[0]);
  strictEqual(fixesOf(findings).filter(({ automatic }) => automatic).length, 1);
});

Deno.test("examine() wants Vulkan on Linux also where an adapter comes from elsewhere, and asks for it once", async () => {
  const findings = await examine(BARE, simulatedBackends(), ["webgpu"]);
  deepStrictEqual(findings.map(({ what, ok }) => [what, ok]), [
    ["Vulkan loader", false],
    ["Vulkan driver", false],
    ["adapter", true],
  ]);
  strictEqual(fixesOf(findings).length, 1);
});

Deno.test("examine() of a system that brings its own graphics wants an adapter and no Vulkan", async () => {
  const findings = await examine({ ...BARE, os: "darwin" }, simulatedBackends(), ["webgpu"]);
  deepStrictEqual(findings.map(({ what, ok }) => [what, ok]), [["adapter", true]]);
  strictEqual(findings[0].detail, "Simulated device");
});

Deno.test("examine() of a complete machine finds nothing missing", async () => {
  const complete: Machine = {
    os: "linux",
    findLibrary: ([name]) => `/usr/lib/${name}`,
    vulkanDrivers: () => ["/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"],
    findPythonPackage: (name) => `/usr/lib/python3/dist-packages/${name}`,
  };
  const { webgpu } = simulatedBackends();
  const findings = await examine(complete, { webgpu, triton: webgpu });
  deepStrictEqual(findings.filter(({ ok }) => !ok), []);
});

Deno.test("examine() of Triton gives the worker's own words for what its Python lacks", async () => {
  const line = JSON.stringify({ id: 1, failure: { outcome: "runtime", message: "no package torch", fatal: false } });
  const triton = {
    command: "deno",
    args: ["eval", `console.log(${JSON.stringify(line)}); await Deno.stdin.read(new Uint8Array(9))`],
  };
  const findings = await examine(BARE, { triton }, ["triton"]);
  deepStrictEqual(findings.map(({ ok, detail }) => [ok, detail]), [
    [false, "no package torch"],
    [false, "none that PyTorch can use"],
  ]);
  strictEqual(fixesOf(findings).length, 1);
});
