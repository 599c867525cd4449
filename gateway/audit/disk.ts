/**
 * The files of the audit log behind a seam: the machine's own by default, a simulated disk that
 * tears, fills, fails and forgets in the deterministic simulation.
 *
 * @module
 */
import { dirname } from "node:path";
import { type DurableFile, openDurableFile } from "./durable_file.ts";

/** Held as long as this process may append. */
export interface DirectoryLock {
  release(): void;
}

/** What stands under a name. */
export type FileKind = "file" | "symbolic link" | "special file";

/** A file open for reading anywhere in it. */
export interface ReadableFile extends Disposable {
  /**
   * Reads at most `into.length` bytes from `at_bytes` on.
   *
   * @returns How many; `null` at the end of the file.
   */
  read(at_bytes: number, into: Uint8Array): Promise<number | null>;
}

/** A file that is being made anew. */
export interface WritableFile extends Disposable {
  /** Takes every byte. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves once everything written is on disk. */
  sync(): Promise<void>;
}

/** What the log needs of a file system. Paths are those of the machine; failures are its errors. */
export interface Disk {
  /** Makes a directory and its parents, for the owner alone. */
  makeDirectory(path: string): void;
  /** Takes an exclusive lock; `undefined` when another process has it. */
  lock(path: string): DirectoryLock | undefined;
  /** What stands under a name, links not followed; `undefined` when nothing does. */
  kindOf(path: string): FileKind | undefined;
  /** Size in bytes; `undefined` when there is no such file. */
  sizeOf(path: string): Promise<number | undefined>;
  /** Whole content; `undefined` when there is no such file. */
  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Whole content in pieces; `undefined` when there is no such file. */
  stream(path: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Opens an existing file for reading. */
  open(path: string): Promise<ReadableFile>;
  /** Makes a file, or empties it; mode 0600. Parent directories are made as needed. */
  create(path: string): Promise<WritableFile>;
  /** Opens the log itself for appending, mode 0600 when new. */
  openLog(path: string): Promise<DurableFile>;
  /** Gives a file another name in one step, replacing what had it. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole directory. */
  remove(path: string): Promise<void>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
}

const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

/** The machine's file system. */
export const SYSTEM_DISK: Disk = {
  makeDirectory: (path) => Deno.mkdirSync(path, { recursive: true, mode: PRIVATE_DIRECTORY }),

  lock(path) {
    const file = Deno.openSync(path, { write: true, create: true, mode: PRIVATE_FILE });
    if (file.tryLockSync(true)) return { release: () => file.close() };
    file.close();
    return undefined;
  },

  kindOf(path) {
    try {
      const info = Deno.lstatSync(path);
      return info.isSymlink ? "symbolic link" : info.isFile ? "file" : "special file";
    } catch (error) {
      return absent(error);
    }
  },

  async sizeOf(path) {
    try {
      return (await Deno.stat(path)).size;
    } catch (error) {
      return absent(error);
    }
  },

  async read(path) {
    try {
      return await Deno.readFile(path);
    } catch (error) {
      return absent(error);
    }
  },

  async stream(path) {
    try {
      return (await Deno.open(path)).readable;
    } catch (error) {
      return absent(error);
    }
  },

  async open(path) {
    const file = await Deno.open(path);
    return {
      read: async (at_bytes, into) => {
        file.seekSync(at_bytes, Deno.SeekMode.Start);
        return await file.read(into);
      },
      [Symbol.dispose]: () => file.close(),
    };
  },

  async create(path) {
    const file = await openEmpty(path);
    return {
      write: (bytes) => writeAll(file, bytes),
      sync: () => file.syncData(),
      [Symbol.dispose]: () => file.close(),
    };
  },

  openLog: openDurableFile,
  rename: (from, to) => Deno.rename(from, to),
  remove: (path) => Deno.remove(path, { recursive: true }),

  async syncDirectory(path) {
    using directory = await Deno.open(path);
    await directory.sync();
  },
};

async function openEmpty(path: string): Promise<Deno.FsFile> {
  const options = { write: true, create: true, truncate: true, mode: PRIVATE_FILE };
  try {
    return await Deno.open(path, options);
  } catch (error) {
    absent(error);
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

/** Nothing there is an answer; every other failure stays one. */
function absent(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
  return undefined;
}
