import { match, ok, rejects, strictEqual } from "node:assert";
import { pemOf, readPem } from "./pem.ts";
import { signBytes, verifyBytes } from "./signature.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const keyPair = async () => await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;

/** RFC 8032, 7.1, TEST 2: the private key as PKCS #8, and the signature of the one byte 0x72. */
const RFC_KEY = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const RFC_SIGNATURE = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

Deno.test("signBytes() signs as RFC 8032 does, with a key from a PEM file", async () => {
  const der = Uint8Array.fromHex(`302e020100300506032b657004220420${RFC_KEY}`);
  const pem = `-----BEGIN PRIVATE KEY-----\n${der.toBase64()}\n-----END PRIVATE KEY-----\n`;
  const signature = await signBytes(new Uint8Array([0x72]), await readPem(pem, "private"));
  strictEqual(Uint8Array.fromBase64(signature.trim()).toHex(), RFC_SIGNATURE);
});

Deno.test("verifyBytes() takes what was signed, and no other bytes, signature or key", async () => {
  const { privateKey, publicKey } = await keyPair();
  const mine = await readPem(await pemOf(publicKey, "public"), "public");
  const signature = await signBytes(bytes("index"), await readPem(await pemOf(privateKey, "private"), "private"));
  ok(await verifyBytes(bytes("index"), signature, mine));
  ok(!await verifyBytes(bytes("indeX"), signature, mine));
  ok(!await verifyBytes(bytes("index"), await signBytes(bytes("other"), privateKey), mine));
  ok(!await verifyBytes(bytes("index"), signature, (await keyPair()).publicKey));
  await rejects(verifyBytes(bytes("index"), "c2hvcnQ=", mine), /it has 5 bytes, expected 64 bytes in base64/);
  await rejects(verifyBytes(bytes("index"), "not base64!", mine), /it is no base64/);
});

Deno.test("readPem() says what a file has in place of the key", async () => {
  const { publicKey } = await keyPair();
  const rsa = await crypto.subtle.generateKey(
    { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
    true,
    ["sign", "verify"],
  );
  const pem = await pemOf(publicKey, "public");
  match(pem, /^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n$/);
  await rejects(readPem("hello", "public"), /it is no PEM file, expected an Ed25519 public key in PEM/);
  await rejects(readPem(pem, "private"), /it has a public key, expected an Ed25519 private key/);
  await rejects(readPem(await pemOf(rsa.publicKey, "public"), "public"), /its key is of another kind, or damaged/);
  await rejects(readPem(pem.replace("MCow", "MCox"), "public"), /another kind, or damaged/);
});
