/**
 * The key that signs checkpoints: PKCS#8 PEM of an Ed25519 key (what `openssl genpkey -algorithm
 * ed25519` writes), in a file only its owner can read.
 *
 * @module
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { dirname } from "node:path";
import { keyId, type NoteSigner, rawPublicKey } from "../../core/audit/checkpoint.ts";
import { SYSTEM_DISK, writeAll } from "./disk.ts";
import { AuditOpenError, reasonOf } from "./errors.ts";

const OTHERS = 0o077;
const KEY_FILE_BYTES_MAX = 4_096;
/** Key name under which the default origin's key id is taken. */
const PRODUCT = "agent-assembly";

/**
 * Reads the key, or makes it when there is no log yet that another key has signed.
 *
 * @param path Key file.
 * @param may_create Whether a missing key may be made.
 * @throws {AuditOpenError} When the file is a link, readable by others, or not a key.
 */
export async function loadSigningKey(path: string, may_create: boolean): Promise<KeyObject> {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw refuse(path, reasonOf(error), ACCESS);
    if (may_create) return await createSigningKey(path);
    throw refuse(
      path,
      "it is missing, but the log has a checkpoint signed with it",
      "restore the key, or move the audit directory away to start a new log",
    );
  }
  if (info.isSymlink) {
    throw refuse(path, "it is a symbolic link", "put the key itself there");
  }
  if (!info.isFile || info.size > KEY_FILE_BYTES_MAX) {
    throw refuse(path, "it is not a key file", "give the path of an Ed25519 PKCS#8 PEM file");
  }
  if (((info.mode ?? 0) & OTHERS) !== 0) {
    const mode = ((info.mode ?? 0) & 0o777).toString(8);
    throw refuse(
      path,
      `group or others may read it (mode \`${mode}\`)`,
      "run chmod 600 on it, and replace the key if others could have read it",
    );
  }
  return readSigningKey(path);
}

const ACCESS = "give this user read access to it";

function readSigningKey(path: string): KeyObject {
  let pem: string;
  try {
    pem = Deno.readTextFileSync(path);
  } catch (error) {
    throw refuse(path, reasonOf(error), ACCESS);
  }
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // The parser's message may quote key bytes; ours does not.
  }
  throw refuse(path, "it is not an Ed25519 key", "expected PKCS#8 PEM, `BEGIN PRIVATE KEY`");
}

async function createSigningKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    try {
      await writeAll(file, new TextEncoder().encode(pem));
      await file.sync();
    } finally {
      file.close();
    }
  } catch (error) {
    throw refuse(path, `it cannot be made: ${reasonOf(error)}`, "give write access to its folder");
  }
  // Best effort: the folder may lie outside what this process may read.
  await SYSTEM_DISK.syncDirectory(dirname(path)).catch(() => {});
  return createPrivateKey(pem);
}

function refuse(path: string, reason: string, next: string): AuditOpenError {
  return new AuditOpenError(`cannot use audit signing key \`${path}\`: ${reason}; ${next}`);
}

/** Signer of a log. The default origin carries 8 hex digits that belong to the key alone. */
export function signerFor(key: KeyObject, origin: string | undefined): NoteSigner {
  const name = origin ?? `${PRODUCT}/${keyId(PRODUCT, rawPublicKey(key)).toHex()}`;
  if (!/^[^\s+\p{Cc}]{1,255}$/u.test(name)) {
    throw new AuditOpenError(
      `cannot use log origin \`${name}\`: expected 1 to 255 characters without spaces or \`+\``,
    );
  }
  return { name, private_key: key };
}
