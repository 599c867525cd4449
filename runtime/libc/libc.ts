/**
 * The few calls of the C library that Deno has no name for: who is at the other end of a socket,
 * where a link leads that an agent named, what is there, and which privileges this process holds.
 *
 * Permission: `--allow-ffi=<the libc's exact path>`. It is given up as soon as the library is open,
 * so that nothing else can ever be loaded into the process; the calls opened here stay usable.
 *
 * @module
 */

export { libcPaths } from "./paths.ts";

const SYMBOLS = {
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  capget: { parameters: ["buffer", "buffer"], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
} as const;

/** The opened library. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** What came of opening the library. */
export type LibcOpened =
  | { readonly ok: true; readonly libc: Libc; readonly path: string }
  | { readonly ok: false; readonly reason: string };

/**
 * Opens the first path that is there and may be opened, and gives up the permission to open any.
 *
 * @param paths Absolute paths, of which the process was granted those it should try.
 */
export async function openLibc(paths: readonly string[]): Promise<LibcOpened> {
  const opened = tryPaths(paths);
  for (const path of paths) await Deno.permissions.revoke({ name: "ffi", path });
  const { state } = await Deno.permissions.revoke({ name: "ffi" });
  if (state === "granted") {
    return { ok: false, reason: "the permission to load libraries could not be given up" };
  }
  return opened;
}

function tryPaths(paths: readonly string[]): LibcOpened {
  const failures: string[] = [];
  for (const path of paths) {
    try {
      return { ok: true, libc: Deno.dlopen(path, SYMBOLS).symbols, path };
    } catch (error) {
      const refused = error instanceof Deno.errors.NotCapable;
      failures.push(`${path}: ${refused ? "not granted" : "not there, or not a C library"}`);
    }
  }
  const tried = failures.length === 0 ? "none is known for this system" : failures.join("; ");
  return { ok: false, reason: `no C library could be opened (${tried})` };
}
