/**
 * Puts a policy set into the file or directory that the gateway was started on.
 *
 * Every new file is written and synced beside its place before the first one is moved there, so
 * that a full disk changes nothing. A stop in between is finished at the next start (see
 * `interrupted.ts`): moving and removing are repeated without harm.
 *
 * @module
 */
import { dirname } from "node:path";
import { contentHash, type PolicyText } from "../../core/policy/history/policy_set.ts";
import { newFilePath } from "../permissions.ts";

/** Where a set is written. */
export interface PolicyWriter {
  /**
   * Makes the files of `before` those of `after`. What `before` does not name is left alone.
   *
   * @throws {Error} when it could not be completed; some files may have been changed then.
   */
  write(before: readonly PolicyText[], after: readonly PolicyText[]): Promise<void>;
}

/** The one write that changes nothing in a file system: tests and the simulation pass their own. */
export interface FileOperations {
  /** Writes a new file and syncs it. */
  writeNew(path: string, content: Uint8Array): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}

/** The machine's files. */
export const SYSTEM_FILES: FileOperations = {
  async writeNew(path, content) {
    using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o644 });
    for (let at = 0; at < content.length;) at += await file.write(content.subarray(at));
    await file.sync();
  },
  rename: (from, to) => Deno.rename(from, to),
  remove: (path) => Deno.remove(path),
  async syncDirectory(path) {
    using directory = await Deno.open(path);
    await directory.sync();
  },
};

/**
 * A writer for what `--policy` names.
 *
 * @param directory Whether `path` is a directory of policies or one policy file.
 */
export function policyWriter(
  path: string,
  directory: boolean,
  files: FileOperations = SYSTEM_FILES,
): PolicyWriter {
  const placeOf = (name: string) => directory ? `${path}/${name}` : path;
  const newOf = (name: string) => directory ? `${path}/.${name}.aasm-new` : newFilePath(path);
  return {
    async write(before, after) {
      const old = new Map(before.map(({ name, content }) => [name, contentHash(content)]));
      const changed = after.filter(({ name, content }) => old.get(name) !== contentHash(content));
      const kept = new Set(after.map(({ name }) => name));
      const gone = before.filter(({ name }) => !kept.has(name));
      try {
        for (const { name, content } of changed) await files.writeNew(newOf(name), content);
        for (const { name } of changed) await files.rename(newOf(name), placeOf(name));
      } catch (error) {
        for (const { name } of changed) await files.remove(newOf(name)).catch(() => {});
        throw error;
      }
      for (const { name } of gone) {
        await files.remove(placeOf(name)).catch((error) => {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        });
      }
      // The names must be durable, too; a single file's folder may be beyond what we may read.
      await files.syncDirectory(directory ? path : dirname(path)).catch(() => {});
    },
  };
}
