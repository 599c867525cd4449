/**
 * What is remembered of logs between runs: the key of each, and how far it was verified. The
 * memory makes a changed key, a rollback and a rewritten history visible.
 *
 * One line a log: `<verifier key>`, or `<verifier key> <entries> <base64 root>`.
 *
 * @module
 */
import {
  decodeBase64,
  NoteError,
  parseVerifierKey,
  type TreeHead,
} from "../core/audit/checkpoint.ts";
import { HASH_BYTES } from "../core/audit/entry.ts";
import { CommandError } from "./exit_code.ts";
import { SMALL_FILE_BYTES_MAX, unreadable, unwritable } from "./files.ts";

/** A tree that was verified. */
export type VerifiedTree = Pick<TreeHead, "size" | "root">;

/** One remembered log. */
export interface KnownLog {
  readonly origin: string;
  /** C2SP verifier key text. */
  readonly key: string;
  /** The largest tree verified so far. */
  readonly verified?: VerifiedTree;
}

/**
 * Reads the memory; an absent file is an empty one.
 *
 * @throws {CommandError} when it cannot be read or a line makes no sense: a damaged memory must
 *   not pass for a first use.
 */
export async function readKnownLogs(path: string): Promise<KnownLog[]> {
  let text: string;
  try {
    const info = await Deno.stat(path);
    if (info.size > SMALL_FILE_BYTES_MAX) {
      throw new RangeError(`larger than ${SMALL_FILE_BYTES_MAX} bytes`);
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw unreadable(path, "remembered keys", error);
  }
  const logs: KnownLog[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() !== "") logs.push(parsedLine(line.trim(), `${path}:${index + 1}`));
  }
  return logs;
}

function parsedLine(line: string, place: string): KnownLog {
  const [key = "", size, root, ...rest] = line.split(" ");
  const { name: origin } = parsedKey(key, place);
  if (size === undefined) return { origin, key };
  const bytes = decodeBase64(root ?? "");
  const is_size = /^(0|[1-9]\d{0,15})$/.test(size) && Number.isSafeInteger(Number(size));
  if (is_size && bytes?.length === HASH_BYTES && rest.length === 0) {
    return { origin, key, verified: { size: Number(size), root: bytes } };
  }
  throw new CommandError(
    `cannot read remembered log at ${place}: expected a key, or a key, a size and a root`,
    undefined,
    "mend or remove the line; removing it trusts the key that is offered next",
  );
}

/** Replaces what is remembered of one log. */
export async function rememberLog(path: string, log: KnownLog): Promise<void> {
  const others = (await readKnownLogs(path)).filter((known) => known.origin !== log.origin);
  const text = [...others, log].map((known) => {
    const { key, verified } = known;
    return verified === undefined
      ? `${key}\n`
      : `${key} ${verified.size} ${verified.root.toBase64()}\n`;
  });
  try {
    await Deno.writeTextFile(path, text.join(""), { mode: 0o600 });
  } catch (error) {
    throw unwritable(path, error);
  }
}

/**
 * A verifier key text taken apart.
 *
 * @param where Where the text came from, for the error.
 */
export function parsedKey(text: string, where: string): { readonly name: string } {
  try {
    return parseVerifierKey(text);
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new CommandError(`bad verifier key from ${where}: ${error.message}`);
  }
}
