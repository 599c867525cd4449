/**
 * File access that is asked about first: the functions of `Deno` and of `node:fs/promises` that most
 * agents use.
 *
 * @module
 */
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { FileAct } from "../act.ts";
import { ConfigurationError, InvalidActError, shownText } from "../errors.ts";
import type { CheckOptions, GovernedAgent } from "../governed_agent.ts";

/** Functions of `Deno` that are governed. */
export type GovernedDenoFiles = Pick<
  typeof Deno,
  | "readTextFile"
  | "readFile"
  | "writeTextFile"
  | "writeFile"
  | "mkdir"
  | "remove"
  | "rename"
  | "copyFile"
  | "open"
  | "stat"
>;

/** Functions of `node:fs/promises` that are governed. */
export type GovernedNodeFiles = Pick<
  typeof import("node:fs/promises"),
  "readFile" | "writeFile" | "appendFile" | "mkdir" | "rm" | "unlink" | "rename" | "copyFile"
>;

type Operation = FileAct["operation"];
type Path = string | URL;

/** What is done to the name, not to what a link of that name leads to. */
const ENTRY_OPERATIONS: ReadonlySet<Operation> = new Set(["delete"]);

/** Asks about one path and gives the place that was asked about. */
type Ask = (operation: Operation, path: Path) => Promise<string>;

/**
 * The place a path leads to, links followed: what policy judges and what is then opened, so that a
 * link cannot stand for another file.
 */
async function placeOf(path: Path): Promise<string> {
  const absolute = absoluteOf(path);
  try {
    return await realpath(absolute);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  const entry = await entryOf(path);
  let dangling = true;
  try {
    dangling = (await lstat(entry)).isSymbolicLink();
  } catch (error) {
    if (!isMissing(error)) throw error;
    dangling = false;
  }
  // It would be written through, and nobody can say where to.
  if (dangling) throw new InvalidActError("a symbolic link that leads nowhere is not followed");
  return entry;
}

/** The entry a path names, links before its last name followed: what is deleted or replaced. */
async function entryOf(path: Path): Promise<string> {
  const absolute = absoluteOf(path);
  const missing: string[] = [basename(absolute)];
  for (let directory = dirname(absolute);; directory = dirname(directory)) {
    try {
      return join(await realpath(directory), ...missing);
    } catch (error) {
      // What is missing can be no link; what is above it may be one.
      if (!isMissing(error) || directory === dirname(directory)) throw error;
      missing.unshift(basename(directory));
    }
  }
}

function absoluteOf(path: Path): string {
  if (typeof path !== "string" && !(path instanceof URL)) {
    throw new InvalidActError(
      "a file is named by a text or a `URL` here: bytes and open handles cannot be asked about",
    );
  }
  return resolve(path instanceof URL || path.startsWith("file:") ? fileURLToPath(path) : path);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "NotFound" || Reflect.get(error, "code") === "ENOENT");
}

function asker(agent: GovernedAgent, options: CheckOptions): Ask {
  return async (operation, path) => {
    const place = ENTRY_OPERATIONS.has(operation) ? await entryOf(path) : await placeOf(path);
    const { act } = await agent.check({ kind: "file", operation, path: place }, options);
    return act.path;
  };
}

/**
 * The file functions of `Deno` for the agent. Each act is asked about as `read`, `write`, `create`,
 * `append` or `delete` of the place its path leads to; `open` as everything its options want;
 * `rename` as a deletion and a creation.
 *
 * @param deno @default `Deno`
 * @throws {ConfigurationError} where there is none.
 */
export function wrapDenoFiles(
  agent: GovernedAgent,
  deno: GovernedDenoFiles | undefined = Reflect.get(globalThis, "Deno"),
  options: CheckOptions = {},
): GovernedDenoFiles {
  if (deno === undefined) {
    throw new ConfigurationError("there is no `Deno` here: use `wrapNodeFiles`");
  }
  const ask = asker(agent, options);
  const writing = (how: Deno.WriteFileOptions = {}): Operation => how.append ? "append" : "write";
  return {
    readTextFile: async (path, how) => await deno.readTextFile(await ask("read", path), how),
    readFile: async (path, how) => await deno.readFile(await ask("read", path), how),
    stat: async (path) => await deno.stat(await ask("read", path)),
    // Options are read once: what is asked about is what is done.
    writeTextFile: async (path, text, { ...how } = {}) =>
      await deno.writeTextFile(await ask(writing(how), path), text, how),
    writeFile: async (path, bytes, { ...how } = {}) =>
      await deno.writeFile(await ask(writing(how), path), bytes, how),
    mkdir: async (path, { ...how } = {}) => await deno.mkdir(await ask("create", path), how),
    remove: async (path, { ...how } = {}) => await deno.remove(await ask("delete", path), how),
    rename: async (from, to) => {
      const source = await ask("delete", from);
      await deno.rename(source, await ask("create", to));
    },
    copyFile: async (from, to) => {
      const source = await ask("read", from);
      await deno.copyFile(source, await ask("write", to));
    },
    open: async (path, how = { read: true }) => {
      const fixed = { ...how };
      let place: string | undefined;
      for (const operation of wanted(fixed)) place = await ask(operation, place ?? path);
      return await deno.open(place ?? await ask("read", path), fixed);
    },
  };
}

function wanted(how: Deno.OpenOptions): Operation[] {
  const operations: Operation[] = [];
  if (how.read === true) operations.push("read");
  if (how.append === true) operations.push("append");
  if (how.write === true || how.truncate === true) operations.push("write");
  if (how.create === true || how.createNew === true) operations.push("create");
  return operations;
}

/**
 * The same for `node:fs/promises`.
 *
 * @param files @default `node:fs/promises` itself
 */
export async function wrapNodeFiles(
  agent: GovernedAgent,
  files?: GovernedNodeFiles,
  options: CheckOptions = {},
): Promise<GovernedNodeFiles> {
  const inner = files ?? await import("node:fs/promises");
  const ask = asker(agent, options);
  // The one option that changes what is done to the file is read once, and always said.
  const flagged = async (path: Path, options: unknown, usual: string) => {
    const { flag = usual, ...rest } = typeof options === "string"
      ? { encoding: options }
      : { ...Object(options) };
    let place: Path = path;
    for (const operation of flagOperations(flag)) place = await ask(operation, place);
    return { place, how: { ...rest, flag } };
  };
  const wrapped = {
    readFile: async (path: Path, options?: unknown) => {
      const { place, how } = await flagged(path, options, "r");
      return await call(inner.readFile, place, how);
    },
    writeFile: async (path: Path, data: unknown, options?: unknown) => {
      const { place, how } = await flagged(path, options, "w");
      return await call(inner.writeFile, place, data, how);
    },
    appendFile: async (path: Path, data: unknown, options?: unknown) => {
      const { place, how } = await flagged(path, options, "a");
      return await call(inner.appendFile, place, data, how);
    },
    mkdir: async (path: Path, ...rest: unknown[]) =>
      await call(inner.mkdir, await ask("create", path), ...rest),
    rm: async (path: Path, ...rest: unknown[]) =>
      await call(inner.rm, await ask("delete", path), ...rest),
    unlink: async (path: Path) => await call(inner.unlink, await ask("delete", path)),
    rename: async (from: Path, to: Path) => {
      const source = await ask("delete", from);
      await inner.rename(source, await ask("create", to));
    },
    copyFile: async (from: Path, to: Path, ...rest: unknown[]) => {
      const source = await ask("read", from);
      await call(inner.copyFile, source, await ask("write", to), ...rest);
    },
  };
  // The overloads of `node:fs` cannot be written down again; the arguments pass through unchanged.
  return wrapped as unknown as GovernedNodeFiles;
}

/** A call whose overloads are the caller's business. */
function call(run: unknown, ...args: unknown[]): unknown {
  return (run as (...args: unknown[]) => unknown)(...args);
}

/** What a flag of `node:fs` lets be done to a file, in words of policy. */
const FLAG_OPERATIONS: ReadonlyMap<unknown, readonly Operation[]> = new Map<
  unknown,
  readonly Operation[]
>([
  ...["r", "rs", "sr"].map((flag) => [flag, ["read"]] as const),
  ...["w", "wx", "xw"].map((flag) => [flag, ["write"]] as const),
  ...["a", "ax", "xa", "as", "sa"].map((flag) => [flag, ["append"]] as const),
  ...["r+", "rs+", "sr+", "w+", "wx+", "xw+"].map((flag) => [flag, ["read", "write"]] as const),
  ...["a+", "ax+", "xa+", "as+", "sa+"].map((flag) => [flag, ["read", "append"]] as const),
]);

function flagOperations(flag: unknown): readonly Operation[] {
  const operations = FLAG_OPERATIONS.get(flag);
  if (operations !== undefined) return operations;
  throw new InvalidActError(
    `the flag \`${
      shownText(String(flag))
    }\` is not known here: expected one like \`r\`, \`w\`, \`a\`, \`r+\``,
  );
}
