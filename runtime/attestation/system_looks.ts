/**
 * How this machine is looked at. What may not be looked at is not said to be missing.
 *
 * Permissions: read for the paths that are looked for, sys for the kernel's version. Under `/sys`
 * Deno looks for nobody without `--allow-all`: there the C library looks, where it is open.
 *
 * @module
 */
import type { LayersConfig } from "../config.ts";
import type { Libc } from "../libc/libc.ts";
import { BTF_PATH } from "../permissions.ts";
import type { Looks, Presence } from "./layers.ts";

/** Looks at the machine that the process runs on. */
export function systemLooks(config: LayersConfig, libc?: Pick<Libc, "access">): Looks {
  return {
    os: Deno.build.os,
    kernel: () => {
      try {
        return Deno.osRelease();
      } catch {
        return "";
      }
    },
    btf: () => libc === undefined ? presenceOf(BTF_PATH) : reachable(BTF_PATH, libc),
    ebpf_socket: () => presenceOf(config.ebpf_socket),
    proxy: () =>
      config.proxy_candidates.find((path) => {
        const found = stat(path);
        return found instanceof Error
          ? false
          : found.isFile && found.mode !== null && (found.mode & 0o111) !== 0;
      }),
  };
}

const EXISTS = 0;

function reachable(path: string, libc: Pick<Libc, "access">): Presence {
  return libc.access(new TextEncoder().encode(`${path}\0`), EXISTS) === 0 ? "there" : "absent";
}

function presenceOf(path: string): Presence {
  const found = stat(path);
  if (!(found instanceof Error)) return "there";
  return found instanceof Deno.errors.NotFound ? "absent" : "unknown";
}

function stat(path: string): Deno.FileInfo | Error {
  try {
    return Deno.statSync(path);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
