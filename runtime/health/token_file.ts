/**
 * The token that readers of the health address must show.
 *
 * @module
 */
import { HEALTH_LIMITS } from "./limits.ts";

/**
 * Reads the token, without the white space around it.
 *
 * @param path Absent: no token is asked for.
 * @throws {Error} when the file holds no usable token, or others may read it
 */
export async function readToken(path: string | undefined): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  const { mode, size } = await Deno.stat(path);
  if (mode !== null && (mode & 0o077) !== 0) {
    throw new Error(`the token file \`${path}\` can be read by others: \`chmod 600\` it`);
  }
  if (size > HEALTH_LIMITS.token_bytes_max) {
    throw new Error(
      `the token file \`${path}\` is longer than ${HEALTH_LIMITS.token_bytes_max} bytes`,
    );
  }
  const text = (await Deno.readTextFile(path)).trim();
  if (!/^[\x21-\x7e]{16,}$/.test(text)) {
    throw new Error(
      `the token file \`${path}\` holds no token: expected at least 16 visible ASCII characters on one line`,
    );
  }
  return new TextEncoder().encode(text);
}
