/**
 * How this machine is looked at. What may not be read counts as not there.
 *
 * Permissions: read for the paths that are looked for, sys for the kernel's version.
 *
 * @module
 */
import type { LayersConfig } from "../config.ts";
import { BTF_PATH } from "../permissions.ts";
import type { Looks } from "./layers.ts";

/** Looks at the machine that the process runs on. */
export function systemLooks(config: LayersConfig): Looks {
  return {
    os: Deno.build.os,
    kernel: () => {
      try {
        return Deno.osRelease();
      } catch {
        return "";
      }
    },
    btf: () => stat(BTF_PATH) !== undefined,
    ebpf_socket: () => stat(config.ebpf_socket) !== undefined,
    proxy: () =>
      config.proxy_candidates.find((path) => {
        const found = stat(path);
        return found?.isFile === true && found.mode !== null && (found.mode & 0o111) !== 0;
      }),
  };
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
