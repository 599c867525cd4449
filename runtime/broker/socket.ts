/**
 * The broker's socket file: in a directory that only this user enters, mode 0600, never a file
 * that someone else serves.
 *
 * @module
 */
import { dirname } from "node:path";

/**
 * Binds the socket. Its directory is made when it is not there; one that is there must be this
 * user's own and closed to everyone else. What a dead broker left is replaced.
 *
 * @param path Absolute.
 * @param uid This process's user; `undefined` skips the check of the owner.
 * @throws {Error} saying what is wrong, with the path.
 */
export async function bindBrokerSocket(
  path: string,
  uid: number | undefined,
): Promise<Deno.UnixListener> {
  await privateDirectory(dirname(path), uid);
  await removeStale(path);
  const listener = Deno.listen({ transport: "unix", path });
  try {
    await Deno.chmod(path, 0o600);
  } catch (error) {
    listener.close();
    throw error;
  }
  return listener;
}

async function privateDirectory(path: string, uid: number | undefined): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
    return;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const { isDirectory, mode, uid: owner } = await Deno.lstat(path);
  if (!isDirectory) throw new Error(`cannot serve the broker in \`${path}\`: not a directory`);
  if (mode !== null && (mode & 0o077) !== 0) {
    throw new Error(
      `cannot serve the broker in \`${path}\`: others may enter it (mode ` +
        `${(mode & 0o777).toString(8)}); \`chmod 700\` it or name another directory`,
    );
  }
  if (uid !== undefined && owner !== uid) {
    throw new Error(`cannot serve the broker in \`${path}\`: it belongs to another user`);
  }
}

async function removeStale(path: string): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await Deno.remove(path);
    return;
  }
  throw new Error(`cannot serve the broker at \`${path}\`: another broker answers there`);
}
