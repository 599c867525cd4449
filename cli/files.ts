/**
 * Bounded reads and plain writes of local files, with errors that name file, cause and next step.
 *
 * @module
 */
import { CommandError, ExitCode } from "./exit_code.ts";

/** A file that holds a key, token or certificate. */
export const SMALL_FILE_BYTES_MAX = 64 * 1024;

/**
 * Reads a file.
 *
 * @param what What the file is, for errors: `policy`, `operator token`.
 * @returns At most `bytes_max + 1` bytes, so that a reader can tell that the bound was passed.
 */
export async function readFile(
  path: string,
  bytes_max: number,
  what: string,
): Promise<Uint8Array> {
  try {
    using file = await Deno.open(path, { read: true });
    const chunks: Uint8Array[] = [];
    let length = 0;
    while (length <= bytes_max) {
      const chunk = new Uint8Array(Math.min(64 * 1024, bytes_max + 1 - length));
      const read = await file.read(chunk);
      if (read === null) break;
      chunks.push(chunk.subarray(0, read));
      length += read;
    }
    return joined(chunks, length);
  } catch (error) {
    throw unreadable(path, what, error);
  }
}

/** Reads a small text file, trimmed. */
export async function readSmallText(path: string, what: string): Promise<string> {
  const bytes = await readFile(path, SMALL_FILE_BYTES_MAX, what);
  if (bytes.byteLength > SMALL_FILE_BYTES_MAX) {
    throw new CommandError(
      `cannot read ${what} \`${path}\`: larger than ${SMALL_FILE_BYTES_MAX} bytes`,
      ExitCode.FAILURE,
      "name another file",
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch {
    throw new CommandError(`cannot read ${what} \`${path}\`: not UTF-8 text`);
  }
}

/** A value given in words, or as `@FILE`: the file's trimmed text. */
export async function wordsOrFile(words: string, what: string): Promise<string> {
  return words.startsWith("@") ? await readSmallText(words.slice(1), what) : words;
}

/** Writes a file as a whole. */
export async function writeFile(path: string, content: Uint8Array): Promise<void> {
  try {
    await Deno.writeFile(path, content);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** The error for a path that cannot be read. */
export function unreadable(path: string, what: string, error: unknown): CommandError {
  return new CommandError(
    `cannot read ${what} \`${path}\`: ${causeOf(error)}`,
    ExitCode.FAILURE,
    "check the path",
  );
}

/** The error for a path that cannot be written. */
export function unwritable(path: string, error: unknown): CommandError {
  return new CommandError(
    `cannot write \`${path}\`: ${causeOf(error)}`,
    ExitCode.FAILURE,
    "name a file in a directory that exists and may be written",
  );
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function causeOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file or directory";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.PermissionDenied) return "the system refuses it to this user";
  if (error instanceof Deno.errors.NotCapable) {
    return "this process was not granted it; start it with `deno task aasm`";
  }
  const text = error instanceof Error ? error.message : String(error);
  return text.startsWith("Is a directory") ? "it is a directory" : text;
}
