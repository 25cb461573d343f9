/**
 * Keys as PEM files, as OpenSSL writes them: `openssl genpkey -algorithm ed25519`, `openssl pkey -pubout`.
 *
 * @module
 */

/** What a file holds: PKCS #8 or SubjectPublicKeyInfo. */
export type KeyKind = "private" | "public";

const LABELS: Record<KeyKind, string> = { private: "PRIVATE KEY", public: "PUBLIC KEY" };
const FORMATS = { private: "pkcs8", public: "spki" } as const;

/** The text of a key's file. */
export async function pemOf(key: CryptoKey, kind: KeyKind): Promise<string> {
  const der = new Uint8Array(await crypto.subtle.exportKey(FORMATS[kind], key));
  const lines = der.toBase64().match(/.{1,64}/g)!;
  return `-----BEGIN ${LABELS[kind]}-----\n${lines.join("\n")}\n-----END ${LABELS[kind]}-----\n`;
}

/**
 * Reads an Ed25519 key.
 *
 * @throws {TypeError} Where the text is no such key; the message says what was found and what is accepted.
 */
export async function readPem(text: string, kind: KeyKind): Promise<CryptoKey> {
  const expected = `expected an Ed25519 ${kind} key in PEM ("-----BEGIN ${LABELS[kind]}-----")`;
  const [, label, body] = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/.exec(text) ?? [];
  if (label === undefined) throw new TypeError(`it is no PEM file, ${expected}`);
  if (label !== LABELS[kind]) throw new TypeError(`it has a ${label.toLowerCase()}, ${expected}`);
  try {
    const der = Uint8Array.fromBase64(body.replaceAll(/\s/g, ""));
    return await crypto.subtle.importKey(FORMATS[kind], der, "Ed25519", true, [kind === "private" ? "sign" : "verify"]);
  } catch {
    throw new TypeError(`its key is of another kind, or damaged, ${expected}`);
  }
}
