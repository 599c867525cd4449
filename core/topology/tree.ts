/**
 * Trees and lineages from parent links. Iterative: no input, however deep or circular, can exhaust
 * the stack or run for ever.
 *
 * @module
 */

/** One agent and those below it. */
export interface Branch<N> {
  readonly node: N;
  readonly children: readonly Branch<N>[];
}

/** A tree, or why there is none. */
export type Tree<N> =
  | { readonly ok: true; readonly root: Branch<N>; readonly nodes: number }
  /** More agents than asked for at most: nothing is cut off silently. */
  | { readonly ok: false; readonly problem: "too_many_nodes" }
  /** An agent stands below itself: the links contradict each other. */
  | { readonly ok: false; readonly problem: "loop" };

/** Bounds of one tree. */
export interface TreeBounds {
  /** Generations below the root; 0 is no bound. */
  readonly max_depth: number;
  /** Agents, the root included. */
  readonly nodes_max: number;
}

/**
 * The tree below a node.
 *
 * @param keyOf Identity of a node, to see loops.
 * @param childrenOf Direct children, in the order in which they are to be shown.
 */
export function treeBelow<N>(
  root: N,
  keyOf: (node: N) => string,
  childrenOf: (node: N) => readonly N[],
  { max_depth, nodes_max }: TreeBounds,
): Tree<N> {
  interface Open {
    readonly node: N;
    readonly children: Open[];
    readonly depth: number;
  }
  const top: Open = { node: root, children: [], depth: 0 };
  const seen = new Set([keyOf(root)]);
  const open = [top];
  // The list grows while it is walked; `nodes_max` and `seen` end it.
  for (const branch of open) {
    if (max_depth > 0 && branch.depth === max_depth) continue;
    for (const child of childrenOf(branch.node)) {
      const key = keyOf(child);
      if (seen.has(key)) return { ok: false, problem: "loop" };
      if (seen.size === nodes_max) return { ok: false, problem: "too_many_nodes" };
      seen.add(key);
      const next: Open = { node: child, children: [], depth: branch.depth + 1 };
      branch.children.push(next);
      open.push(next);
    }
  }
  return { ok: true, root: top, nodes: seen.size };
}

/**
 * The ancestors of a node, the root first, the node itself not included.
 *
 * @param steps_max Ancestors followed; a longer or circular chain ends there.
 */
export function lineageOf<N>(
  node: N,
  parentOf: (node: N) => N | undefined,
  steps_max: number,
): N[] {
  const ancestors: N[] = [];
  let parent = parentOf(node);
  while (parent !== undefined && ancestors.length < steps_max) {
    ancestors.push(parent);
    parent = parentOf(parent);
  }
  return ancestors.reverse();
}
