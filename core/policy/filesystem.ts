/**
 * Path scopes: sets of directory subtrees, their intersection over a cascade, and membership of a
 * requested path (contract `policy-and-gateway` §1.5, §3.2, §13.1 #22 and #23).
 *
 * Paths are compared lexically, component by component; links are the enforcing layer's matter.
 *
 * @module
 */
import type { FileMode } from "../action.ts";
import type { PolicyDocument } from "./document.ts";

/** The two verbs of the `filesystem` section; `write` covers create, append, rename and delete. */
export type PathVerb = "read" | "write";

/** The verb that governs one access. */
export function verbOf(mode: FileMode): PathVerb {
  return mode === "read" ? "read" : "write";
}

/**
 * What is wrong with a requested path under a stated rule, or `undefined`. Nothing is trimmed: a
 * blank is part of a file name.
 */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return "not an absolute path";
  if (path.includes("\0")) return "holds a NUL character";
  if (/\/\.\.(?:\/|$)/.test(path)) return "holds a `..` component";
  return undefined;
}

/** `/a//./b/` as `/a/b`; the root stays `/`. Only for a path without a {@linkcode pathProblem}. */
export function normalizePath(path: string): string {
  return `/${path.split("/").filter((part) => part !== "" && part !== ".").join("/")}`;
}

interface Node {
  /** Everything at and below this node is in the set. */
  whole: boolean;
  readonly children: Map<string, Node>;
}

/** A set of subtrees, pruned: no member lies inside another. Empty means nothing at all. */
export class Subtrees {
  readonly #root: Node = { whole: false, children: new Map() };
  readonly #paths: string[] = [];

  /** @param paths Absolute paths without `..`; others are left out, which only narrows the set. */
  constructor(paths: Iterable<string>) {
    const valid = [...paths].filter((path) => pathProblem(path) === undefined).map(normalizePath);
    // Shortest first, so that a path inside another is seen after it and pruned.
    for (const path of valid.sort((a, b) => a.length - b.length || (a < b ? -1 : 1))) {
      if (this.contains(path)) continue;
      this.#paths.push(path);
      this.#insert(path);
    }
  }

  /** The members, normalised, shortest first. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  /** Whether `path` is a member or lies inside one. A path with a problem never is. */
  contains(path: string): boolean {
    if (pathProblem(path) !== undefined) return false;
    let node: Node | undefined = this.#root;
    for (let start = 1;;) {
      if (node.whole) return true;
      if (start > path.length) return false;
      const slash = path.indexOf("/", start);
      const end = slash < 0 ? path.length : slash;
      const part = path.slice(start, end);
      start = end + 1;
      if (part === "" || part === ".") continue;
      node = node.children.get(part);
      if (node === undefined) return false;
    }
  }

  #insert(path: string): void {
    let node = this.#root;
    for (const part of path.split("/")) {
      if (part === "") continue;
      let child = node.children.get(part);
      if (child === undefined) {
        child = { whole: false, children: new Map() };
        node.children.set(part, child);
      }
      node = child;
    }
    node.whole = true;
  }
}

/** What both sets hold: the members of each that lie inside the other. */
export function intersectSubtrees(a: Subtrees, b: Subtrees): Subtrees {
  return new Subtrees([
    ...a.paths.filter((path) => b.contains(path)),
    ...b.paths.filter((path) => a.contains(path)),
  ]);
}

/** A verb's scope over a cascade. Three states, because none of them may stand for another. */
export type PathScope =
  /** No document at all: refuse. */
  | { readonly state: "empty_cascade" }
  /** Documents, none of which speaks of the verb: no path rule. */
  | { readonly state: "not_stated" }
  /** In force; an empty set denies every path. */
  | { readonly state: "stated"; readonly subtrees: Subtrees };

/** Merges one verb over documents: silence neither widens nor narrows. */
export function mergePathScopes(
  documents: readonly PolicyDocument[],
  verb: PathVerb,
): PathScope {
  if (documents.length === 0) return { state: "empty_cascade" };
  let merged: Subtrees | undefined;
  for (const document of documents) {
    const rules = document.filesystem?.[verb];
    if (rules === undefined) continue;
    const own = new Subtrees(rules.allow.map((entry) => entry.value));
    merged = merged === undefined ? own : intersectSubtrees(merged, own);
  }
  return merged === undefined ? { state: "not_stated" } : { state: "stated", subtrees: merged };
}
