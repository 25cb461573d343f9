/** The SHA-256 of a text or of bytes, as 64 hex digits. Runs wherever Web Crypto does: in browsers, on secure pages. */
export async function sha256(content: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""); // toHex is not in Node 20
}
