/**
 * Detached Ed25519 signatures (RFC 8032) of files: 64 bytes over the file's own bytes, in base64, in a file beside it.
 * `openssl pkeyutl -verify -rawin` verifies the same.
 *
 * @module
 */

/** Where a file's signature is. */
export function signaturePath(file: string): string {
  return `${file}.sig`;
}

/** The text of a signature file. */
export async function signBytes(bytes: Uint8Array<ArrayBuffer>, key: CryptoKey): Promise<string> {
  return `${new Uint8Array(await crypto.subtle.sign("Ed25519", key, bytes)).toBase64()}\n`;
}

/**
 * Whether the text of a signature file is a signature of `bytes` by the owner of `key`.
 *
 * @throws {TypeError} Where the text is none at all.
 */
export async function verifyBytes(bytes: Uint8Array<ArrayBuffer>, text: string, key: CryptoKey): Promise<boolean> {
  const expected = "expected 64 bytes in base64, as deno run tune sign writes";
  let signature: Uint8Array<ArrayBuffer>;
  try {
    signature = Uint8Array.fromBase64(text.trim());
  } catch {
    throw new TypeError(`it is no base64, ${expected}`);
  }
  if (signature.length !== 64) throw new TypeError(`it has ${signature.length} bytes, ${expected}`);
  return await crypto.subtle.verify("Ed25519", key, signature, bytes);
}
