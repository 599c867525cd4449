/**
 * The file system through Deno's own calls. Needs `--allow-read` of whatever is looked at; what may
 * not be read cannot be told, and what cannot be told is refused.
 *
 * @module
 */
import { type Entry, type Files, HARMLESS_DEVICES } from "./paths.ts";

/** Files as this process may see them. Deno shows no process's working directory. */
export const denoFiles: Files = {
  look(path: string): Entry {
    // Deno shows nothing below `/dev` to whom it was not given whole; only root could make them links.
    if (path === "/dev" || HARMLESS_DEVICES.has(path)) return { kind: "plain" };
    try {
      if (!Deno.lstatSync(path).isSymlink) return { kind: "plain" };
      return { kind: "link", target: Deno.readLinkSync(path) };
    } catch (error) {
      return entryOf(error);
    }
  },
  workingDirectory: () => undefined,
  isDirectory(path: string): boolean {
    try {
      return Deno.statSync(path).isDirectory;
    } catch (error) {
      // What cannot be looked at may be one.
      return !(error instanceof Deno.errors.NotFound);
    }
  },
};

function entryOf(error: unknown): Entry {
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
    return { kind: "absent" };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return { kind: "unknown", why: "the runtime was not given read access to it" };
  }
  return { kind: "unknown", why: error instanceof Error ? error.name : "no reason given" };
}
