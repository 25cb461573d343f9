/** `tune verify-signature`: whether a file is what the owner of a key signed. */
import { Command } from "@commander-js/extra-typings";
import { FailureError, firstLine, UsageError } from "../errors.ts";
import { readKey, readNamed } from "../signing/files.ts";
import { signaturePath, verifyBytes } from "../signing/signature.ts";
import { callerPath } from "./options.ts";

/** Adds the command. */
export function verifySignatureCommand() {
  return new Command("verify-signature")
    .description("verify a file against its signature, FILE.sig")
    .argument("<file>", "what was signed")
    .requiredOption("--key <pem>", "the signer's public key")
    .option("--signature <file>", "the signature, where it is not FILE.sig")
    .action(async (file, { key, signature = signaturePath(file) }) => {
      const publicKey = await readKey(callerPath(key), key, "public");
      const bytes = await readNamed(callerPath(file), file, "the signed file");
      const text = new TextDecoder().decode(await readNamed(callerPath(signature), signature, "the signature"));
      const genuine = await verifyBytes(bytes, text, publicKey).catch((error) => {
        throw new UsageError(`Cannot read the signature "${signature}": ${firstLine(error)}`);
      });
      if (!genuine) {
        throw new FailureError(`"${file}" is not what "${key}" signed: the file, the signature or the key is another`);
      }
      console.log(`Good signature: ${file}`);
    });
}
