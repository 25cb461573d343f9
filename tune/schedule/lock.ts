/**
 * Locks between processes. The system drops one where its holder dies, so that none outlives a crash.
 *
 * @module
 */
import { dirname } from "node:path";
import { cacheFolder } from "../../kernels/devices/cuda/compile_cache.ts";
import { firstLine, UsageError } from "../errors.ts";

/** Takes a lock, or gives undefined where another process has it. */
export function tryLock(path: string): Disposable | undefined {
  let file: Deno.FsFile;
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    file = Deno.openSync(path, { read: true, write: true, create: true });
  } catch (error) {
    throw new UsageError(`Cannot lock "${path}": ${firstLine(error)}, expected a folder that can be written`);
  }
  if (file.tryLockSync(true)) return { [Symbol.dispose]: () => file.close() };
  file.close();
  return undefined;
}

/**
 * Takes a device of this host for kvtune's unattended jobs, or gives undefined where one of them has it. The user's cache
 * folder has the locks: jobs from several checkouts share the devices too.
 */
export function tryLockDevice({ backend, index }: { backend: string; index: number }): Disposable | undefined {
  const cache = cacheFolder();
  // Without a cache folder there is no place that all jobs of this user know.
  if (cache === undefined) return { [Symbol.dispose]: () => {} };
  return tryLock(`${dirname(cache)}/locks/${backend}-${index}.lock`);
}
