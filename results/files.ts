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

/** An exclusive lock of a folder; the system drops it where the process dies, so that none goes stale. */
export interface FolderLock extends Disposable {
  /**
   * Replaces a file that nobody writes without this lock. What a writer of it left aside when it was killed goes, and the
   * rename is on the disk once this resolves.
   */
  replace(path: string, text: string): Promise<void>;
}

/** Holds the lock of a folder until disposed. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  let file: Deno.FsFile | undefined;
  try {
    file = await Deno.open(folder, { read: true });
    await file.lock(true);
  } catch {
    // Windows opens no folders: there, two writers at once can lose an entry, but never a whole file.
    file?.close();
    file = undefined;
  }
  return {
    replace: async (path, text) => {
      if (file) await removeLeftovers(path);
      await replaceFile(path, text);
      await file?.sync();
    },
    [Symbol.dispose]: () => file?.close(),
  };
}

async function removeLeftovers(path: string): Promise<void> {
  const name = `${basename(path)}.`;
  for await (const entry of Deno.readDir(dirname(path))) {
    if (entry.name.startsWith(name) && entry.name.endsWith(".tmp")) await Deno.remove(join(dirname(path), entry.name));
  }
}
