/**
 * Measures how many multiprocessors a GPU has, which WebGPU does not say.
 *
 * One workgroup that keeps all lanes of a multiprocessor busy takes T. Workgroups are spread over idle multiprocessors
 * first, so n of them take T · ceil(n / count): the time steps at each multiple of the count. The largest n that still
 * takes about T is the count; it is found by doubling and then halving.
 *
 * @module
 */
import { createSpeedProbe, type PassTimer, type Recorder, type SpeedProbe } from "./webgpu_timing.ts";

/** Most multiprocessors that are looked for. */
const MAX_COUNT = 1024;
/** Times are halfway to the next step here. */
const STEP = 1.5;
const REPEATS = 5;

// Eight independent chains a lane keep the multiply-add units full. The result is compared so that nothing is removed.
const source = (invocations: number) => `
@group(0) @binding(0) var<storage, read_write> sink: array<f32>;
@compute @workgroup_size(${invocations})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  var a = vec4f(f32(lane), 1.0, 2.0, 3.0);
  var b = vec4f(f32(group.x), 4.0, 5.0, 6.0);
  for (var i = 0u; i < 4000u; i++) {
    a = fma(a, vec4f(0.999), vec4f(0.5));
    b = fma(b, vec4f(0.998), vec4f(0.25));
  }
  let sum = a + b;
  if (sum.x + sum.y + sum.z + sum.w == 12345.678) { sink[0] = sum.x; }
}`;

/** A load of pure arithmetic on a device: `workgroups` of them fill as many multiprocessors. */
export interface ArithmeticLoad {
  record(workgroups: number): Recorder;
  destroy(): void;
}

/** Compiles the load. */
export function createArithmeticLoad(device: GPUDevice): ArithmeticLoad {
  const invocations = Math.min(1024, device.limits.maxComputeInvocationsPerWorkgroup);
  const module = device.createShaderModule({ code: source(invocations) });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  const sink = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: sink } }],
  });
  return {
    record: (workgroups) => (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(workgroups);
    },
    destroy: () => sink.destroy(),
  };
}

/** A probe of the device's speed whose load fills every multiprocessor. */
export function createArithmeticProbe(timer: PassTimer, load: ArithmeticLoad): SpeedProbe {
  return createSpeedProbe(timer, load.record(MAX_COUNT));
}

/** The number of multiprocessors, 1 to 1024; 1 where the device has no steps to be seen. */
export async function measureSmCount(timer: PassTimer, load: ArithmeticLoad, probe: SpeedProbe): Promise<number> {
  await probe.raise();
  const time = async (workgroups: number) =>
    Math.min(...await timer.time(new Array<Recorder>(REPEATS).fill(load.record(workgroups))));
  const one = await time(1);
  const fits = async (count: number) => await time(count) < one * STEP;
  let low = 1;
  while (low < MAX_COUNT && await fits(low * 2)) low *= 2;
  let high = low * 2;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (await fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}
