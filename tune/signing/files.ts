/** The files that the signing commands read; each error names the file, and what was expected of it. */
import { firstLine, UsageError } from "../errors.ts";
import { type KeyKind, readPem } from "./pem.ts";

/** A file's bytes; `what` it is, for messages. */
export async function readNamed(path: string, shown: string, what: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "no such file" : firstLine(error);
    throw new UsageError(`Cannot read ${what} "${shown}": ${why}`);
  }
}

/** A key. */
export async function readKey(path: string, shown: string, kind: KeyKind): Promise<CryptoKey> {
  const bytes = await readNamed(path, shown, `the ${kind} key`);
  try {
    return await readPem(new TextDecoder().decode(bytes), kind);
  } catch (error) {
    throw new UsageError(`Cannot read the ${kind} key "${shown}": ${firstLine(error)}`);
  }
}
