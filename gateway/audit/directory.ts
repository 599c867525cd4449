/**
 * The audit directory: its names, its lock, and writes that survive a power cut.
 *
 * @module
 */
import { dirname } from "node:path";
import type { DirectoryLock, Disk, FileKind } from "./disk.ts";
import { AuditOpenError, reasonOf } from "./errors.ts";

/** The truth: one JSON line an entry (wire §5.5). */
export const LOG_FILE = "gateway-default.jsonl";
/** Folder of checkpoint and tiles. */
export const TREE_DIRECTORY = "log";
/** How far tiles are known to be on disk. */
export const STATE_FILE = "log/state.json";
const LOCK_FILE = "gateway-default.lock";

/**
 * Creates what is missing and takes the lock.
 *
 * @throws {AuditOpenError} When the directory cannot be used, or another process uses it.
 */
export function claimDirectory(directory: string, disk: Disk): DirectoryLock {
  let lock: DirectoryLock | undefined;
  try {
    disk.makeDirectory(`${directory}/${TREE_DIRECTORY}/tile/entries`);
    lock = disk.lock(`${directory}/${LOCK_FILE}`);
  } catch (error) {
    throw cannotUse(directory, error);
  }
  if (lock === undefined) {
    throw new AuditOpenError(
      `cannot open audit log: another gateway is writing in \`${directory}\`; ` +
        "stop it, or give this one its own --audit-dir",
    );
  }
  return lock;
}

function cannotUse(directory: string, error: unknown): AuditOpenError {
  return new AuditOpenError(
    `cannot open audit log: directory \`${directory}\` cannot be written: ${reasonOf(error)}; ` +
      "give this user write permission there, make room, or choose another --audit-dir",
    { cause: error },
  );
}

/** Refuses a link or anything else that is not a plain file. Absent is fine. */
export function checkPlainFile(path: string, disk: Disk): void {
  let kind: FileKind | undefined;
  try {
    kind = disk.kindOf(path);
  } catch (error) {
    throw new AuditOpenError(`cannot open audit log: \`${path}\`: ${reasonOf(error)}`);
  }
  if (kind === undefined || kind === "file") return;
  throw new AuditOpenError(
    `cannot open audit log: \`${path}\` is a ${kind}` +
      ", expected a plain file; move it away and look who put it there",
  );
}

/** Writes a file and waits until its bytes are on disk. Parent folders are made as needed. */
export async function writeDurably(path: string, bytes: Uint8Array, disk: Disk): Promise<void> {
  using file = await disk.create(path);
  await file.write(bytes);
  await file.sync();
}

/** Replaces a file in one step: a reader sees the old text or the new, never a part. */
export async function replaceDurably(path: string, text: string, disk: Disk): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeDurably(temporary, new TextEncoder().encode(text), disk);
  await disk.rename(temporary, path);
  await disk.syncDirectory(dirname(path));
}
