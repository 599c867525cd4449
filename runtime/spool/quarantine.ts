/**
 * A copy of a damaged spool, set aside before anything else may touch it. The original stays where
 * it is, and keeps the spool from starting, until an operator has looked.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { SPOOL_LIMITS } from "./limits.ts";

/**
 * Copies a damaged file, named after its content, so that another start makes no second copy.
 *
 * @returns Where the copy is; `undefined` when none could be made or enough are kept already.
 */
export function quarantine(path: string): string | undefined {
  try {
    const target = `${path}.quarantined-${digestOf(path)}`;
    if (exists(target)) return target;
    const prefix = `${basename(path)}.quarantined-`;
    const kept = [...Deno.readDirSync(dirname(path))]
      .filter(({ name }) => name.startsWith(prefix) && !name.endsWith("-wal"));
    if (kept.length >= SPOOL_LIMITS.quarantined_files) return undefined;
    copy(path, target);
    if (exists(`${path}-wal`)) copy(`${path}-wal`, `${target}-wal`);
    return target;
  } catch {
    // The original is still there, and the failure that led here is the one to report.
    return undefined;
  }
}

function copy(from: string, to: string): void {
  Deno.copyFileSync(from, to);
  Deno.chmodSync(to, 0o600);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function digestOf(path: string): string {
  const digest = createHash("sha256");
  using file = Deno.openSync(path);
  const piece = new Uint8Array(1 << 20);
  for (let read = file.readSync(piece); read !== null; read = file.readSync(piece)) {
    digest.update(piece.subarray(0, read));
  }
  return digest.digest("hex").slice(0, 16);
}
