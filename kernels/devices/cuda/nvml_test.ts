import assert from "node:assert/strict";
import { clockReasons, Nvml, PROCESS_INFO } from "./nvml.ts";
import { hasCompiler, stubNvml } from "./stub/stub.ts";

const ignore = !hasCompiler;
const BUS = "0000:1b:00.0";

Deno.test("clockReasons() puts bits into words, idle being no throttling", () => {
  assert.deepEqual(clockReasons(0n), { words: [], throttled: [] });
  assert.deepEqual(clockReasons(0x1n), { words: ["idle"], throttled: [] });
  assert.deepEqual(clockReasons(0x44n).throttled, ["power cap", "thermal slowdown by hardware"]);
  assert.deepEqual(clockReasons(1n << 40n).throttled, ["reason 0x10000000000"]);
});

Deno.test("Nvml.find() is undefined where there is no NVML", () => {
  assert.equal(Nvml.find(BUS, ["/nowhere/libnvidia-ml.so.1"]), undefined);
});

Deno.test({
  name: "Nvml.find() is undefined for a card that it does not know",
  ignore,
  fn: async () => {
    using stub = await stubNvml();
    assert.equal(Nvml.find("0000:ff:00.0", [stub.path]), undefined);
  },
});

Deno.test({
  name: "Nvml.readings() has clocks, power and temperature in the units that their names say",
  ignore,
  fn: async () => {
    using stub = await stubNvml();
    const layout = new Int32Array(new ArrayBuffer(8));
    stub.symbols.stub_layout(layout);
    assert.deepEqual([...layout], [PROCESS_INFO.size, PROCESS_INFO.usedGpuMemory]);
    stub.symbols.stub_reasons(0n);
    stub.symbols.stub_processes(0, 0);
    const nvml = Nvml.find(BUS, [stub.path])!;
    const { values, warnings } = nvml.readings();
    assert.deepEqual(values, {
      name: "Stub H200",
      driver: "580.1.2",
      smClockMhz: 1755,
      maxSmClockMhz: 1980,
      memoryClockMhz: 3201,
      maxMemoryClockMhz: 3201,
      powerW: 650.5,
      powerLimitW: 700,
      temperatureC: 41,
      clockReasons: "",
      otherProcesses: 0,
    });
    assert.deepEqual(warnings, []);
    nvml.close();
  },
});

Deno.test({
  name: "Nvml.readings() warns of a throttling card and of other processes, but not of this one",
  ignore,
  fn: async () => {
    using stub = await stubNvml();
    const nvml = Nvml.find(BUS, [stub.path])!;
    stub.symbols.stub_processes(1, 4000);
    const before = nvml.processes();
    stub.symbols.stub_processes(2, 4000); // 4001 came when the device was opened: it is this process, as the host counts.
    nvml.claim(before);
    stub.symbols.stub_reasons(0x5n);
    const { warnings } = nvml.readings();
    assert.deepEqual(warnings, ["throttling: power cap", "busy: other processes use the card: 4000 (512 MB)"]);
    stub.symbols.stub_processes(1, Deno.pid);
    nvml.claim([]);
    assert.deepEqual(nvml.readings().values.otherProcesses, 0);
    nvml.close();
  },
});
