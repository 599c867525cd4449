/**
 * The spool's file and folder before SQLite touches them: whose they are, who else may write there.
 *
 * @module
 */
import { dirname } from "node:path";
import { SpoolError } from "./failure.ts";
import { SPOOL_LIMITS } from "./limits.ts";

const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
const OTHERS_WRITE = 0o022;
const OTHERS_ANY = 0o077;
/** Files SQLite keeps beside a database. */
export const COMPANIONS = ["-wal", "-shm", "-journal"];

/**
 * Makes folder and file for their owner alone, or checks that they are.
 *
 * @param uid The user id that must own both; `null` where the machine has none.
 * @throws {SpoolError} `exposed_folder`, `foreign_owner`, `cannot_open`, `too_large`; what the
 * runtime raises is left to the caller.
 */
export function prepareFile(path: string, uid: number | null): void {
  if (path === "" || path.startsWith("file:") || path === ":memory:") {
    throw new SpoolError(
      "cannot_open",
      `cannot open the spool: \`${path}\` is not a file path; set AA_AUDIT_BUFFER_PATH to one`,
    );
  }
  prepareFolder(dirname(path), uid);
  for (const name of [path, ...COMPANIONS.map((end) => path + end)]) checkEntry(name, uid);
  const file = Deno.openSync(path, {
    read: true,
    write: true,
    create: true,
    mode: PRIVATE_FILE,
  });
  file.close();
}

function prepareFolder(folder: string, uid: number | null): void {
  Deno.mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER });
  const info = Deno.statSync(folder);
  if (uid !== null && info.uid !== null && info.uid !== uid) {
    throw new SpoolError(
      "foreign_owner",
      `cannot open the spool: folder \`${folder}\` belongs to user \`${info.uid}\`, expected ` +
        `\`${uid}\`; name a file in a folder of the runtime's own user`,
    );
  }
  if (info.mode !== null && (info.mode & OTHERS_WRITE) !== 0) {
    throw new SpoolError(
      "exposed_folder",
      `cannot open the spool: others may write to folder \`${folder}\` (mode \`` +
        `${(info.mode & 0o777).toString(8)}\`); name a file in a private folder (chmod 700)`,
    );
  }
}

/** A file of another owner, a link or a device under one of our names is not ours to write. */
function checkEntry(path: string, uid: number | null): void {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!info.isFile || (info.nlink ?? 1) !== 1) {
    const kind = info.isSymlink ? "a symbolic link" : info.isFile ? "a hard link" : "no file";
    throw new SpoolError(
      "cannot_open",
      `cannot open the spool: \`${path}\` is ${kind}, expected a regular file; move it away`,
    );
  }
  if (uid !== null && info.uid !== null && info.uid !== uid) {
    throw new SpoolError(
      "foreign_owner",
      `cannot open the spool: \`${path}\` belongs to user \`${info.uid}\`, expected \`${uid}\`; ` +
        `move it away`,
    );
  }
  if (info.size > SPOOL_LIMITS.file_bytes) {
    throw new SpoolError(
      "too_large",
      `cannot open the spool: \`${path}\` has \`${info.size}\` bytes, at most ` +
        `\`${SPOOL_LIMITS.file_bytes}\` are ours; move it away`,
    );
  }
  if (info.mode !== null && (info.mode & OTHERS_ANY) !== 0) Deno.chmodSync(path, PRIVATE_FILE);
}

/** Which files the open database writes to, so that another under the same name shows. */
export class OpenFiles {
  readonly #files: readonly { readonly path: string; readonly identity: string }[];

  /** @param path The database, open in WAL mode. */
  constructor(path: string) {
    this.#files = [path, `${path}-wal`].map((name) => ({ path: name, identity: identityOf(name) }));
  }

  /**
   * Checks that the names still mean those files: what is written to a file that has no name any
   * more is gone with the process.
   *
   * @throws {SpoolError} `replaced`.
   */
  check(): void {
    for (const { path, identity } of this.#files) {
      if (identityOf(path) === identity) continue;
      throw new SpoolError(
        "replaced",
        `the spool's file \`${path}\` was removed or replaced while it was open; find out who did ` +
          `it, then restart the runtime`,
      );
    }
  }
}

function identityOf(path: string): string {
  try {
    const { dev, ino, nlink } = Deno.lstatSync(path);
    return nlink === 1 ? `${dev}/${ino}` : "not one file";
  } catch {
    return "none";
  }
}
