/**
 * The one error class of the embedded store: every failure has a named code and says what to do.
 *
 * @module
 */

/** Why the store refused or failed. */
export type StoreFailure =
  | "newer_schema"
  | "foreign_file"
  | "corrupt"
  | "read_only"
  | "disk_full"
  | "cannot_open"
  | "locked"
  | "permission_denied"
  | "constraint"
  | "io"
  | "too_large"
  | "queue_full"
  | "closed"
  | "writer_failed";

/** A {@linkcode StoreError} as plain data, to cross from the writer thread. */
export interface StoreFailureMessage {
  readonly code: StoreFailure;
  readonly message: string;
}

/** A failure of the embedded store. The message names the file and the next step. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreFailure;

  constructor(code: StoreFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whether the database must not be touched again after this failure. */
export function isFatal(code: StoreFailure): boolean {
  // After a failed sync the kernel may have dropped the dirty page: a later success proves nothing.
  return code === "io" || code === "corrupt" || code === "writer_failed";
}

/**
 * Names a failure raised by the SQLite driver or by the runtime's permission check.
 *
 * Only prepared statements carry `errcode`; the primary result code is its low byte
 * (https://www.sqlite.org/rescode.html).
 *
 * @param error What was thrown.
 * @param path The database file, for the message.
 * @param during What was attempted, e.g. "open the state database".
 */
export function classify(error: unknown, path: string, during: string): StoreFailureMessage {
  if (error instanceof StoreError) return { code: error.code, message: error.message };
  const detail = error instanceof Error ? error.message : String(error);
  const named = (code: StoreFailure, next: string): StoreFailureMessage => ({
    code,
    message: `cannot ${during}: ${detail} (\`${path}\`); ${next}`,
  });
  if (error instanceof Deno.errors.NotCapable) {
    return named("permission_denied", "grant --allow-read and --allow-write for this file");
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return named("permission_denied", "give the gateway's user ownership of the file and folder");
  }
  if (error instanceof Deno.errors.NotFound) {
    return named("cannot_open", "create the folder that holds the file");
  }
  if (errorCode(error) === "ERR_OUT_OF_RANGE") {
    return named("corrupt", RESTORE);
  }
  switch (primaryCode(error)) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return named("locked", "another process holds the database: stop it, then start again");
    case 8: // SQLITE_READONLY
      return named("read_only", "make the file, its folder and its file system writable");
    case 10: // SQLITE_IOERR
      return named("io", "check the disk, then restart the gateway");
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return named("corrupt", RESTORE);
    case 13: // SQLITE_FULL
      return named("disk_full", "free space on the disk; nothing was recorded");
    case 14: // SQLITE_CANTOPEN
      return named("cannot_open", "check that the folder exists and is writable");
    case 19: // SQLITE_CONSTRAINT
    case 20: // SQLITE_MISMATCH
      return named("constraint", "the record breaks a rule of the schema and was not stored");
    default:
      return named("writer_failed", "see the cause; if it persists restore the database");
  }
}

const RESTORE = "keep the file for analysis, restore a backup or move it away to start empty";

function primaryCode(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

function errorCode(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}
