/**
 * Where a path really leads. Deno names a path as the program wrote it and opens what the links on
 * the way lead to, so both are judged. What is looked up here can change before Deno opens it; to
 * make a link, Deno asks for every file at once, and `docs/permission-broker.md` says what is left.
 *
 * @module
 */
import { BROKER_LIMITS } from "./limits.ts";

/** What lies at a path, as far as resolving goes. */
export type Entry =
  | { readonly kind: "link"; readonly target: string }
  /** Something that is no link. */
  | { readonly kind: "plain" }
  | { readonly kind: "absent" }
  /** It could not be looked at; `why` says so in a few words. */
  | { readonly kind: "unknown"; readonly why: string };

/** How the broker looks at the file system. */
export interface Files {
  readonly look: (path: string) => Entry;
  /** The process's working directory by the kernel's word; `undefined` where it cannot be asked. */
  readonly workingDirectory: (pid: number) => string | undefined;
  /** Whether a directory is there; only asked where working directories cannot be. */
  readonly isDirectory: (path: string) => boolean;
}

/** Where a path leads, or why that is not known. */
export type Resolved =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: string };

/**
 * Follows every link of a path as the kernel does: component by component, `..` after the links
 * before it. What is not there yet counts as itself.
 *
 * @param path Absolute.
 */
export function resolvePath(path: string, files: Files): Resolved {
  const ahead = path.split("/").reverse();
  let at = "";
  let links = 0;
  for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      continue;
    }
    const next = `${at}/${part}`;
    const entry = files.look(next);
    if (entry.kind === "unknown") {
      return { ok: false, reason: `where the path leads cannot be told: ${entry.why}` };
    }
    if (entry.kind !== "link") {
      at = next;
      continue;
    }
    links += 1;
    if (links > BROKER_LIMITS.links_followed) {
      return { ok: false, reason: "the path leads through too many links" };
    }
    if (entry.target.startsWith("/")) at = "";
    ahead.push(...entry.target.split("/").reverse());
  }
  return { ok: true, path: at === "" ? "/" : at };
}

/** `/a//./b/../c` as `/a/c`, without looking at anything. Only for an absolute path. */
export function lexicalPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** Device files that hold nothing of anyone; the rest of the list below is no one's to grant. */
export const HARMLESS_DEVICES: ReadonlySet<string> = new Set([
  "/dev/null",
  "/dev/zero",
  "/dev/random",
  "/dev/urandom",
]);

/**
 * Whether a path belongs to the kernel: another process's memory, its environment, devices. Deno
 * refuses these too unless it runs under `-A` without a broker; here no policy allows them.
 *
 * @param path Normalised.
 */
export function isKernelPath(path: string): boolean {
  return /^\/(?:proc|sys|dev)(?:\/|$)/.test(path) && !HARMLESS_DEVICES.has(path);
}

/** Whether `path` is `directory` or lies inside it. Both normalised. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
