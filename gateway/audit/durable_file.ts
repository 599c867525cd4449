/**
 * The one file that must not lose a byte, behind a seam small enough to break on purpose.
 *
 * @module
 */
import { writeAll } from "./disk.ts";

/** An append-only file whose bytes count once {@linkcode DurableFile.sync} has returned. */
export interface DurableFile {
  append(bytes: Uint8Array): Promise<void>;
  /** Waits until everything appended is on disk (fdatasync). */
  sync(): Promise<void>;
  truncate(length_bytes: number): Promise<void>;
  close(): void;
}

/**
 * Up to this size a batch is copied to the page cache on the calling thread: microseconds, where a
 * trip to another thread and back costs a tenth of a millisecond. Only the sync has to wait.
 */
const INLINE_WRITE_BYTES_MAX = 65_536;

/** Opens `path` for appending, mode 0600 when new. */
export async function openDurableFile(path: string): Promise<DurableFile> {
  const file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
  return {
    append: async (bytes) => {
      if (bytes.length > INLINE_WRITE_BYTES_MAX) await writeAll(file, bytes);
      else writeAllSync(file, bytes);
    },
    sync: () => file.syncData(),
    truncate: (length_bytes) => file.truncate(length_bytes),
    close: () => file.close(),
  };
}

function writeAllSync(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const written = file.writeSync(bytes.subarray(at));
    if (written === 0) throw new Error("the file took no bytes");
    at += written;
  }
}

/** What a failed write means for the next one. */
export type WriteFailure =
  /** Room may come back: try again with a later append. */
  | "no_space"
  /** The kernel may have dropped dirty pages: nothing but a restart re-reads the truth. */
  | "permanent";

/** Linux EFBIG, ENOSPC, EDQUOT. */
const NO_SPACE = /\(os error (?:27|28|122)\)/;

/** Sorts a failed write. A failed sync is always permanent: a second one may lie. */
export function classifyWriteFailure(error: unknown): WriteFailure {
  return error instanceof Error && NO_SPACE.test(error.message) ? "no_space" : "permanent";
}
