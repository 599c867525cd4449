/**
 * The audit directory: its names, its lock, and writes that survive a power cut.
 *
 * @module
 */
import { dirname } from "node:path";
import { AuditOpenError, reasonOf } from "./errors.ts";

/** The truth: one JSON line an entry (wire §5.5). */
export const LOG_FILE = "gateway-default.jsonl";
/** Folder of checkpoint and tiles. */
export const TREE_DIRECTORY = "log";
/** How far tiles are known to be on disk. */
export const STATE_FILE = "log/state.json";
const LOCK_FILE = "gateway-default.lock";
const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

/** Held as long as this process may append. */
export interface DirectoryLock {
  release(): void;
}

/**
 * Creates what is missing and takes the lock.
 *
 * @throws {AuditOpenError} When the directory cannot be used, or another process uses it.
 */
export function claimDirectory(directory: string): DirectoryLock {
  try {
    Deno.mkdirSync(`${directory}/${TREE_DIRECTORY}/tile/entries`, {
      recursive: true,
      mode: PRIVATE_DIRECTORY,
    });
  } catch (error) {
    throw cannotUse(directory, error);
  }
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`${directory}/${LOCK_FILE}`, {
      write: true,
      create: true,
      mode: PRIVATE_FILE,
    });
  } catch (error) {
    throw cannotUse(directory, error);
  }
  if (!file.tryLockSync(true)) {
    file.close();
    throw new AuditOpenError(
      `cannot open audit log: another gateway is writing in \`${directory}\`; ` +
        "stop it, or give this one its own --audit-dir",
    );
  }
  return { release: () => file.close() };
}

function cannotUse(directory: string, error: unknown): AuditOpenError {
  return new AuditOpenError(
    `cannot open audit log: directory \`${directory}\` cannot be written: ${reasonOf(error)}; ` +
      "give this user write permission there, make room, or choose another --audit-dir",
    { cause: error },
  );
}

/** Refuses a link or anything else that is not a plain file. Absent is fine. */
export function checkPlainFile(path: string): void {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new AuditOpenError(`cannot open audit log: \`${path}\`: ${reasonOf(error)}`);
  }
  if (info.isSymlink || !info.isFile) {
    throw new AuditOpenError(
      `cannot open audit log: \`${path}\` is a ${
        info.isSymlink ? "symbolic link" : "special file"
      }` +
        ", expected a plain file; move it away and look who put it there",
    );
  }
}

/** Reads a file; `undefined` when there is none. */
export async function readIfPresent(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes a file and waits until its bytes are on disk. Parent folders are made as needed. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await openForWrite(path);
  try {
    await writeAll(file, bytes);
    await file.syncData();
  } finally {
    file.close();
  }
}

async function openForWrite(path: string): Promise<Deno.FsFile> {
  const options = { write: true, create: true, truncate: true, mode: PRIVATE_FILE };
  try {
    return await Deno.open(path, options);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await Deno.mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY });
    return await Deno.open(path, options);
  }
}

/** Writes every byte; a write may take fewer than it is given. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const written = await file.write(at === 0 ? bytes : bytes.subarray(at));
    if (written === 0) throw new Error("the file took no bytes");
    at += written;
  }
}

/** Replaces a file in one step: a reader sees the old text or the new, never a part. */
export async function replaceDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeDurably(temporary, new TextEncoder().encode(text));
  await Deno.rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes new names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await Deno.open(path);
  try {
    await directory.sync();
  } finally {
    directory.close();
  }
}
