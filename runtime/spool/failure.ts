/**
 * The one error class of the spool: every failure has a named code and says what to do.
 *
 * @module
 */
import { classify, type StoreFailure } from "../../storage/sqlite/failure.ts";

/** Why the spool refused or failed. */
export type SpoolFailure =
  | StoreFailure
  | "full"
  | "foreign_owner"
  | "replaced"
  | "exposed_folder"
  | "unknown_reader";

/** A {@linkcode SpoolError} as plain data, to cross from the writer thread. */
export interface SpoolFailureMessage {
  readonly code: SpoolFailure;
  readonly message: string;
}

/** A failure of the spool. The message names the file and the next step. */
export class SpoolError extends Error {
  override readonly name = "SpoolError";
  readonly code: SpoolFailure;

  constructor(code: SpoolFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const FINAL: ReadonlySet<SpoolFailure> = new Set([
  "io",
  "corrupt",
  "writer_failed",
  "read_only",
  "replaced",
]);

/** Whether the file must not be touched again after this failure. */
export function isFinal(code: SpoolFailure): boolean {
  // After a failed sync the kernel may have dropped the dirty page: a later success proves nothing.
  return FINAL.has(code);
}

/** Whether the file is damaged, so that it is set aside for analysis. */
export function isDamage(code: SpoolFailure): boolean {
  return code === "corrupt" || code === "newer_schema";
}

/**
 * Names what the driver or the runtime raised.
 *
 * @param during What was attempted, e.g. "open the spool".
 */
export function named(error: unknown, path: string, during: string): SpoolFailureMessage {
  if (error instanceof SpoolError) return { code: error.code, message: error.message };
  const { code } = classify(error, path, during);
  const detail = error instanceof Error ? error.message : String(error);
  return { code, message: `cannot ${during}: ${detail} (\`${path}\`); ${NEXT[code] ?? RESTART}` };
}

const RESTART = "see the cause, then restart the runtime";

const NEXT: Partial<Record<StoreFailure, string>> = {
  permission_denied: "grant --allow-read and --allow-write for this file, and own its folder",
  cannot_open: "check that the folder exists and is writable",
  corrupt: "keep the file for analysis, then move it away to start empty",
  locked: "another process holds the spool: stop it, then start again",
  read_only: "make the file, its folder and its file system writable, then restart the runtime",
  disk_full: "free space on the disk; nothing of this was recorded",
  io: "check the disk, then restart the runtime",
};
