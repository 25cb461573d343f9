/**
 * Files that several processes write: replaced whole, and one writer at a time.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";

/** Writes a file whole or not at all: aside, to the disk, and then into place by a rename. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      const bytes = new TextEncoder().encode(text);
      for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {}); // it may not exist; the first error is the one that counts
    throw error;
  }
}

/** Removes what writers of a file left aside when they were killed. Only for who holds the lock of its folder. */
export async function removeLeftovers(path: string): Promise<void> {
  const name = `${basename(path)}.`;
  for await (const entry of Deno.readDir(dirname(path))) {
    if (entry.name.startsWith(name) && entry.name.endsWith(".tmp")) await Deno.remove(join(dirname(path), entry.name));
  }
}

/** Holds an exclusive lock until disposed. The system drops it where the process dies, so that none goes stale. */
export async function lockFolder(path: string): Promise<{ folder: Deno.FsFile | undefined } & Disposable> {
  let folder: Deno.FsFile | undefined;
  try {
    folder = await Deno.open(path, { read: true });
    await folder.lock(true);
  } catch {
    // Windows opens no folders: there, two writers at once can lose an entry, but never a whole file.
    folder?.close();
    folder = undefined;
  }
  return { folder, [Symbol.dispose]: () => folder?.close() };
}
