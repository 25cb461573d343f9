/** `tune sign`: signs a file, or makes the keys to sign with. */
import { Command } from "@commander-js/extra-typings";
import { replaceFile } from "../../results/files.ts";
import { FailureError, firstLine, UsageError } from "../errors.ts";
import { readKey, readNamed } from "../signing/files.ts";
import { pemOf } from "../signing/pem.ts";
import { signaturePath, signBytes } from "../signing/signature.ts";
import { callerPath } from "./options.ts";

/** Adds the command. */
export function signCommand() {
  return new Command("sign")
    .description("sign a registry's index.json, or any file, with Ed25519: the signature goes into FILE.sig")
    .argument("[file]", "what to sign")
    .option("--key <pem>", "the private key")
    .option("--new-key <name>", "make a key pair instead: NAME.pem, for you alone, and NAME.pub.pem")
    .action(async (file, { key, newKey }) => {
      if (newKey !== undefined) {
        if (file !== undefined || key !== undefined) {
          throw new UsageError("Cannot combine --new-key with a file or --key: expected it alone");
        }
        await makeKeys(newKey);
        return;
      }
      if (file === undefined || key === undefined) {
        throw new UsageError("Cannot sign: expected a file and --key, or --new-key");
      }
      const privateKey = await readKey(callerPath(key), key, "private");
      const bytes = await readNamed(callerPath(file), file, "the file to sign");
      const signature = await signBytes(bytes, privateKey);
      await replaceFile(signaturePath(callerPath(file)), signature).catch((error) => {
        throw new FailureError(`Cannot write "${signaturePath(file)}": ${firstLine(error)}`);
      });
      console.log(`Signed: ${signaturePath(file)}`);
    });
}

async function makeKeys(name: string): Promise<void> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
  const files = [
    { path: `${name}.pem`, text: await pemOf(pair.privateKey, "private"), mode: 0o600 },
    { path: `${name}.pub.pem`, text: await pemOf(pair.publicKey, "public"), mode: 0o644 },
  ];
  for (const { path, text, mode } of files) {
    try {
      await Deno.writeTextFile(callerPath(path), text, { createNew: true, mode });
    } catch (error) {
      const why = error instanceof Deno.errors.AlreadyExists
        ? "it exists, and a key is never replaced"
        : firstLine(error);
      throw new UsageError(`Cannot write "${path}": ${why}`);
    }
  }
  console.log(`Keys: ${files.map(({ path }) => path).join(", ")}`);
}
