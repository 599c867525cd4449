/**
 * Which directories a process may be in: Deno names relative paths as written. Where the kernel
 * tells, it is the one; elsewhere every directory the process may have changed to, because changing
 * to a directory is a request to read it.
 *
 * @module
 */
import { BROKER_LIMITS } from "./limits.ts";
import type { Files } from "./paths.ts";

/** One process's possible working directories. */
export class WorkingDirectories {
  readonly #files: Files;
  /** `undefined` once there may be more than are kept, or when the first was never known. */
  #possible: Set<string> | undefined;

  /** @param initial Where the process started; absent when nobody knows. */
  constructor(files: Files, initial: string | undefined) {
    this.#files = files;
    this.#possible = initial === undefined ? undefined : new Set([initial]);
  }

  /** Whether reads have to be told: the first directory was given, so nobody else may know. */
  get guessing(): boolean {
    return this.#possible !== undefined;
  }

  /** Absolute directories, or `undefined` when they cannot be told. */
  of(pid: number | undefined): readonly string[] | undefined {
    const told = pid === undefined ? undefined : this.#files.workingDirectory(pid);
    if (told !== undefined) return [told];
    return this.#possible === undefined ? undefined : [...this.#possible];
  }

  /** Something was allowed to be read: if it is a directory, the process may be in it from now on. */
  allowed(path: string): void {
    const possible = this.#possible;
    if (possible === undefined || possible.has(path) || !this.#files.isDirectory(path)) return;
    if (possible.size >= BROKER_LIMITS.working_directories) this.#possible = undefined;
    else possible.add(path);
  }
}
