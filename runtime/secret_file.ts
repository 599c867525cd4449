/**
 * Secrets that the runtime is given in files: the agent's credential token, the token of those who
 * read its health.
 *
 * @module
 */

/** Bytes of a file with one secret. More: refused unread. */
const SECRET_FILE_BYTES_MAX = 4_096;

/**
 * Reads one secret, without the white space around it.
 *
 * @param path Absent: there is none.
 * @throws {Error} when the file holds no usable secret, or others may read it; never its text
 */
export async function readSecretLine(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const { mode, size } = await Deno.stat(path);
  if (mode !== null && (mode & 0o077) !== 0) {
    throw new Error(`the secret in \`${path}\` can be read by others: \`chmod 600\` it`);
  }
  if (size > SECRET_FILE_BYTES_MAX) {
    throw new Error(`the secret file \`${path}\` is longer than ${SECRET_FILE_BYTES_MAX} bytes`);
  }
  const text = (await Deno.readTextFile(path)).trim();
  if (!/^[\x21-\x7e]{16,}$/.test(text)) {
    throw new Error(
      `the secret file \`${path}\` holds no token: expected at least 16 visible ASCII characters on one line`,
    );
  }
  return text;
}
