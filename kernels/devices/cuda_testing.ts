/**
 * The device that tests of CUDA code run on: the first one, or none with a loud word about what that skips.
 *
 * @module
 */
import { cuda } from "./cuda.ts";
import type { OpenDevice } from "./device.ts";

/** The CUDA devices of this machine. */
export const devices = await cuda.list();

/** Registers a test that needs a CUDA device. It gets the first one, opened for it, and closed after it. */
export function cudaTest(name: string, test: (device: OpenDevice) => Promise<void>): void {
  if (devices.length === 0) console.error(`SKIPPED, no CUDA device: ${name}`);
  Deno.test({
    name,
    ignore: devices.length === 0,
    sanitizeResources: false, // The driver's libraries are opened once a process, by whichever test comes first.
    async fn() {
      const device = await cuda.open(0);
      try {
        await test(device);
      } finally {
        device.close();
      }
    },
  });
}
