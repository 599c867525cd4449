/**
 * Where the C library lies. Pure: read by the launcher, which opens nothing.
 *
 * @module
 */

/** Where each libc lies, by architecture; glibc first, then musl. */
const PATHS: Readonly<Record<typeof Deno.build.arch, readonly string[]>> = {
  x86_64: [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/ld-musl-x86_64.so.1",
  ],
  aarch64: [
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/ld-musl-aarch64.so.1",
  ],
};

/**
 * Paths that the runtime may be granted and tries, in this order.
 *
 * @returns None off Linux: the calls differ there.
 */
export function libcPaths(os: string, arch: typeof Deno.build.arch): readonly string[] {
  return os === "linux" ? PATHS[arch] : [];
}
