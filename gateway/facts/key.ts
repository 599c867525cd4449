/**
 * The key that decision facts are encrypted under: 32 bytes as 64 hexadecimal digits, in a file only
 * its owner can read.
 *
 * @module
 */
import { FACTS_KEY_BYTES } from "../../core/replay/segment.ts";
import { writeAll } from "../audit/disk.ts";

const OTHERS = 0o077;
const KEY_FILE_BYTES_MAX = 256;

/** A facts key that cannot be used. */
export class FactsKeyError extends Error {
  override readonly name = "FactsKeyError";
}

/**
 * Reads the key.
 *
 * @param path Key file.
 * @param may_create Whether a missing key is made: not for one that the operator named.
 * @throws {FactsKeyError} When the file is a link, readable by others, or not a key.
 */
export async function loadFactsKey(path: string, may_create: boolean): Promise<Uint8Array> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw refuse(path, reasonOf(error), ACCESS);
    if (may_create) return await createFactsKey(path);
    throw refuse(path, "it is missing", "make one: openssl rand -hex 32, mode 600");
  }
  if (info.isSymlink) throw refuse(path, "it is a symbolic link", "put the key itself there");
  if (!info.isFile || info.size > KEY_FILE_BYTES_MAX) {
    throw refuse(path, "it is not a key file", EXPECTED);
  }
  if (((info.mode ?? 0) & OTHERS) !== 0) {
    const mode = ((info.mode ?? 0) & 0o777).toString(8);
    throw refuse(
      path,
      `group or others may read it (mode \`${mode}\`)`,
      "run chmod 600 on it, and replace the key if others could have read it",
    );
  }
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw refuse(path, reasonOf(error), ACCESS);
  }
  const digits = text.trim();
  if (!new RegExp(`^[0-9a-fA-F]{${2 * FACTS_KEY_BYTES}}$`).test(digits)) {
    throw refuse(path, "it is not a key", EXPECTED);
  }
  return Uint8Array.fromHex(digits);
}

const ACCESS = "give this user read access to it";
const EXPECTED = "expected 64 hexadecimal digits, as `openssl rand -hex 32` prints";

async function createFactsKey(path: string): Promise<Uint8Array> {
  const key = crypto.getRandomValues(new Uint8Array(FACTS_KEY_BYTES));
  try {
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    await writeAll(file, new TextEncoder().encode(`${key.toHex()}\n`));
    await file.sync();
  } catch (error) {
    throw refuse(path, `it cannot be made: ${reasonOf(error)}`, "give write access to its folder");
  }
  return key;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refuse(path: string, reason: string, next: string): FactsKeyError {
  return new FactsKeyError(`cannot use facts key \`${path}\`: ${reason}; ${next}`);
}
