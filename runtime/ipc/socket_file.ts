/**
 * The socket's file: bound where nobody else can reach it, then put in its place.
 *
 * The socket is bound inside a new directory of mode 0700, made 0600, and linked to its path: at no
 * instant could another user have connected. The link fails when anything is there, so that a
 * socket is never taken from a runtime that lives; what is stale is removed first, and only when
 * nobody answers on it and it is ours (contract `interception` §1.3, trap R16).
 *
 * @module
 */
import { dirname } from "node:path";
import { IPC_ROOM_LIMITS } from "./limits.ts";

/** The private directory in which a socket is bound; beside its path, so that linking works. */
export function stagingDirectory(path: string): string {
  return `${path}.new`;
}

/** A bound socket in its place. */
export interface SocketFile {
  readonly listener: Deno.UnixListener;
  /** The path the kernel knows it by: the staging path, gone from the file system. */
  readonly bound_path: string;
  /** Whether the path still leads to this socket. */
  readonly inPlace: () => boolean;
  /** Stops listening and removes the file, if it is still this one. */
  readonly close: () => void;
}

/**
 * Binds the socket.
 *
 * @param path Absolute path of the socket.
 * @param own_uid The runtime's effective user.
 * @throws {Error} saying what is in the way and what to do about it
 */
export async function bindSocket(path: string, own_uid: number): Promise<SocketFile> {
  const staging = stagingDirectory(path);
  const bound_path = `${staging}/s`;
  if (new TextEncoder().encode(path).length > IPC_ROOM_LIMITS.path_bytes_max) {
    throw new Error(
      `the socket path \`${path}\` is longer than ${IPC_ROOM_LIMITS.path_bytes_max} bytes: ` +
        "choose a shorter one with --socket",
    );
  }
  await removeStale(path, own_uid);
  makeStaging(staging, own_uid);
  let listener: Deno.UnixListener;
  try {
    listener = Deno.listen({ transport: "unix", path: bound_path });
  } catch (error) {
    Deno.removeSync(staging);
    throw error;
  }
  try {
    Deno.chmodSync(bound_path, 0o600);
    Deno.linkSync(bound_path, path);
  } catch (error) {
    listener.close();
    throw error instanceof Deno.errors.AlreadyExists
      ? new Error(`another runtime has just taken \`${path}\``)
      : error;
  } finally {
    Deno.removeSync(bound_path);
    Deno.removeSync(staging);
  }
  const inode = Deno.lstatSync(path).ino;
  const inPlace = () => inodeOf(path) === inode;
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    listener.close();
    if (inPlace()) Deno.removeSync(path);
  };
  return { listener, bound_path, inPlace, close };
}

function inodeOf(path: string): number | null | undefined {
  try {
    return Deno.lstatSync(path).ino;
  } catch {
    return undefined;
  }
}

function makeStaging(staging: string, own_uid: number): void {
  const found = lstat(staging);
  if (found !== undefined) {
    if (!found.isDirectory || found.uid !== own_uid) {
      throw new Error(
        `\`${staging}\` is in the way and not ours: remove it, or choose a private directory with --socket`,
      );
    }
    // Left by a runtime that died while it was binding; nothing else is ever in it.
    for (const entry of Deno.readDirSync(staging)) Deno.removeSync(`${staging}/${entry.name}`);
    Deno.removeSync(staging);
  }
  try {
    Deno.mkdirSync(staging, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const directory = dirname(staging);
    throw new Error(
      `the socket's directory \`${directory}\` is not there: make it with \`mkdir -m 700 -p ${directory}\``,
      { cause: error },
    );
  }
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function removeStale(path: string, own_uid: number): Promise<void> {
  const found = lstat(path);
  if (found === undefined) return;
  if (found.uid !== own_uid) {
    throw new Error(
      `\`${path}\` belongs to user ${found.uid}, not to ${own_uid}: remove it as its owner, ` +
        "or choose a private directory with --socket",
    );
  }
  if (!found.isSocket) {
    throw new Error(`\`${path}\` is not a socket: move it away, or choose another --socket`);
  }
  if (await answers(path)) {
    throw new Error(
      `another runtime of this agent answers on \`${path}\`: stop it, or choose another --socket`,
    );
  }
  Deno.removeSync(path);
}

/** Only a refused connection shows that nobody listens; whatever else happens, somebody may. */
async function answers(path: string): Promise<boolean> {
  const attempt = Deno.connect({ transport: "unix", path });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), IPC_ROOM_LIMITS.probe_ms_max);
  });
  try {
    const first = await Promise.race([attempt, late]);
    if (first === "late") attempt.then((connection) => connection.close(), () => {});
    else first.close();
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.ConnectionRefused) &&
      !(error instanceof Deno.errors.NotFound);
  } finally {
    clearTimeout(timer);
  }
}

/** Directories in which everyone may make files. */
const SHARED_DIRECTORIES = ["/tmp", "/var/tmp", "/dev/shm"];

/**
 * What an operator should know of the socket's directory (trap R16): in one that others may write
 * to, they can take the path before the runtime does, though not connect to it.
 *
 * @param path Absolute.
 * @returns `undefined` for a directory that is ours alone, and for one whose mode may not be read.
 */
export function directoryAdvice(path: string, own_uid: number): string | undefined {
  const directory = dirname(path);
  const taken =
    `other users may write to \`${directory}\` and could take the socket's path first: ` +
    "use --socket in a directory of mode 0700";
  if (SHARED_DIRECTORIES.includes(directory)) return taken;
  let found: Deno.FileInfo;
  try {
    found = Deno.statSync(directory);
  } catch {
    // The runtime is granted the socket's path, not all that lies beside it.
    return undefined;
  }
  const mode = found.mode ?? 0;
  if ((mode & 0o022) !== 0) return taken;
  if (found.uid === own_uid && (mode & 0o077) === 0) return undefined;
  return `other users may look into \`${directory}\`: --socket in a directory of mode 0700 keeps them out`;
}
