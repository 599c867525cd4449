/**
 * Whose socket it is. Its conventional place is a directory that every user may write to: a socket
 * there that another user made would be a runtime that says yes (trap R16).
 *
 * @module
 */
import { lstat } from "node:fs/promises";
import process from "node:process";
import { ConfigurationError, GatewayUnavailableError } from "../../errors.ts";

/**
 * Refuses a socket that is not this user's own, or that others may write to.
 *
 * @param owner_uid Who must own it. @default the user of this process
 * @throws {ConfigurationError} naming what is wrong.
 * @throws {GatewayUnavailableError} when there is none.
 */
export async function requireOwnSocket(path: string, owner_uid?: number): Promise<void> {
  const expected = owner_uid ?? ownUid();
  let stats: Awaited<ReturnType<typeof lstat>>;
  try {
    stats = await lstat(path);
  } catch (error) {
    if (Reflect.get(Object(error), "code") === "ENOENT") {
      throw new GatewayUnavailableError(`no runtime listens at \`${path}\`: start it`, error);
    }
    throw new ConfigurationError(`\`${path}\` cannot be looked at: allow reading it`, error);
  }
  if (!stats.isSocket()) throw new ConfigurationError(`\`${path}\` is no socket`);
  if (stats.uid !== expected) {
    throw new ConfigurationError(
      `the socket \`${path}\` belongs to user ${stats.uid}, not to ${expected}: whoever made it is ` +
        "not this agent's runtime; remove it, or give `socket_owner_uid`",
    );
  }
  if ((stats.mode & 0o022) !== 0) {
    throw new ConfigurationError(`the socket \`${path}\` may be written to by others`);
  }
}

function ownUid(): number {
  try {
    const uid = process.getuid?.();
    if (uid !== undefined) return uid;
  } catch (error) {
    throw new ConfigurationError(
      "whose socket to trust cannot be asked: allow `--allow-sys=uid`, or give `socket_owner_uid`",
      error,
    );
  }
  throw new ConfigurationError("this system has no user ids: give `socket_owner_uid`");
}
