/**
 * The file system as the C library shows it: where links lead and where processes are, for paths
 * that an agent names and this process was never granted. It follows names and opens nothing.
 *
 * A path that cannot be looked at counts as no link: runtime and agent are the same user, so what
 * one may not pass the other may not either.
 *
 * @module
 */
import type { Libc } from "../libc/libc.ts";
import type { Entry, Files } from "./paths.ts";

/** Linux opens no longer path, and no link is longer. */
const PATH_BYTES_MAX = 4_096;

/** Files by `readlink(2)`. */
export function libcFiles(libc: Pick<Libc, "readlink">): Files {
  const path_bytes = new Uint8Array(PATH_BYTES_MAX);
  const target_bytes = new Uint8Array(PATH_BYTES_MAX);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const target = (path: string): string | undefined | "too_long" => {
    const { read, written } = encoder.encodeInto(path, path_bytes.subarray(0, -1));
    if (read < path.length) return "too_long";
    path_bytes[written] = 0;
    const length = Number(libc.readlink(path_bytes, target_bytes, BigInt(target_bytes.length)));
    return length < 0 ? undefined : decoder.decode(target_bytes.subarray(0, length));
  };
  return {
    look(path: string): Entry {
      const found = target(path);
      if (found === "too_long") return { kind: "unknown", why: "it is longer than any path" };
      return found === undefined ? { kind: "plain" } : { kind: "link", target: found };
    },
    workingDirectory(pid: number): string | undefined {
      const found = target(`/proc/${pid}/cwd`);
      return found?.startsWith("/") === true ? found : undefined;
    },
    // Only asked where working directories are not told.
    isDirectory: () => true,
  };
}
