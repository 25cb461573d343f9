/**
 * The device that tests of WebGPU code run on: the first adapter, or none with a loud word about what that skips.
 *
 * @module
 */
import type { DeviceInfo, OpenDevice } from "./device.ts";
import { webgpu } from "./webgpu.ts";

/** The adapters of this machine. */
export const adapters: readonly DeviceInfo[] = await webgpu.list();

/** Registers a test that needs an adapter. It gets the first one, opened for it, and closed after it. */
export function adapterTest(name: string, test: (device: OpenDevice) => Promise<void>): void {
  if (adapters.length === 0) {
    console.error(`SKIPPED, no WebGPU adapter (on Debian: apt-get install libvulkan1 mesa-vulkan-drivers): ${name}`);
  }
  Deno.test({
    name,
    ignore: adapters.length === 0,
    async fn() {
      const device = await webgpu.open(0);
      try {
        await test(device);
      } finally {
        device.close();
      }
    },
  });
}
