/**
 * Cycles among relations: groups of agents each of which reaches all others, found by Tarjan's
 * algorithm without recursion, in time linear in the relations.
 *
 * @module
 */
import type { EdgeKind, TopologyEdge } from "./edge.ts";

/** A group of agents that reach each other, with one way round. */
export interface Cycle {
  /** Registry keys, sorted. One key: the agent relates to itself. */
  readonly members: readonly string[];
  /** Kinds of the relations inside the group, sorted. */
  readonly kinds: readonly EdgeKind[];
  /** A shortest way from the first member back to itself: relations in order. */
  readonly example: readonly TopologyEdge[];
}

/** Cycles found; `more` are not listed. */
export interface Cycles {
  readonly cycles: readonly Cycle[];
  readonly more: number;
}

/**
 * Finds every cyclic group, in the order of their first members.
 *
 * @param edges Any relations; repeated ones count once.
 * @param cycles_max Groups listed; the rest is counted.
 */
export function findCycles(edges: Iterable<TopologyEdge>, cycles_max: number): Cycles {
  const graph = graphOf(edges);
  const groups = cyclicGroups(graph);
  groups.sort(([a = ""], [b = ""]) => a < b ? -1 : 1);
  const listed = groups.slice(0, cycles_max).map((members) => describe(graph, members));
  return { cycles: listed, more: groups.length - listed.length };
}

/** Relations by source, then target; of several the first that was seen. */
type Graph = ReadonlyMap<string, ReadonlyMap<string, readonly TopologyEdge[]>>;

function graphOf(edges: Iterable<TopologyEdge>): Graph {
  const graph = new Map<string, Map<string, TopologyEdge[]>>();
  for (const edge of edges) {
    const { source: { key: source }, target: { key: target } } = edge;
    let targets = graph.get(source);
    if (targets === undefined) graph.set(source, targets = new Map());
    const parallel = targets.get(target);
    if (parallel === undefined) targets.set(target, [edge]);
    else if (!parallel.some(({ kind }) => kind === edge.kind)) parallel.push(edge);
  }
  return graph;
}

interface Frame {
  readonly key: string;
  readonly targets: Iterator<string>;
}

/** Strongly connected components that hold a cycle, members sorted. */
function cyclicGroups(graph: Graph): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const path: string[] = [];
  const on_path = new Set<string>();
  const groups: string[][] = [];
  const enter = (key: string): Frame => {
    low.set(key, index.size);
    index.set(key, index.size);
    path.push(key);
    on_path.add(key);
    return { key, targets: graph.get(key)?.keys() ?? [][Symbol.iterator]() };
  };
  const lower = (key: string, to: number) => low.set(key, Math.min(low.get(key) ?? to, to));
  const leave = (key: string) => {
    if (low.get(key) !== index.get(key)) return;
    const members = path.splice(path.lastIndexOf(key));
    for (const member of members) on_path.delete(member);
    if (members.length > 1 || graph.get(key)?.has(key) === true) groups.push(members.sort());
  };
  for (const start of graph.keys()) {
    if (index.has(start)) continue;
    const frames = [enter(start)];
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const next = frame.targets.next();
      if (next.done === true) {
        frames.pop();
        leave(frame.key);
        const above = frames.at(-1);
        if (above !== undefined) lower(above.key, low.get(frame.key) ?? 0);
      } else if (!index.has(next.value)) frames.push(enter(next.value));
      else if (on_path.has(next.value)) lower(frame.key, index.get(next.value) ?? 0);
    }
  }
  return groups;
}

function describe(graph: Graph, members: readonly string[]): Cycle {
  const inside = new Set(members);
  const kinds = new Set<EdgeKind>();
  for (const member of members) {
    for (const [target, parallel] of graph.get(member) ?? []) {
      if (inside.has(target)) { for (const { kind } of parallel) kinds.add(kind); }
    }
  }
  return { members, kinds: [...kinds].sort(), example: wayRound(graph, members, inside) };
}

/** Breadth first from the first member back to it: it exists, the group being strongly connected. */
function wayRound(
  graph: Graph,
  [first = ""]: readonly string[],
  inside: ReadonlySet<string>,
): TopologyEdge[] {
  const came_by = new Map<string, TopologyEdge>();
  const queue = [first];
  for (const key of queue) {
    for (const [target, [edge]] of graph.get(key) ?? []) {
      if (edge === undefined || !inside.has(target) || came_by.has(target)) continue;
      came_by.set(target, edge);
      if (target === first) return traced(came_by, first);
      queue.push(target);
    }
  }
  return [];
}

function traced(came_by: ReadonlyMap<string, TopologyEdge>, first: string): TopologyEdge[] {
  const way: TopologyEdge[] = [];
  let edge = came_by.get(first);
  while (edge !== undefined) {
    way.push(edge);
    edge = edge.source.key === first ? undefined : came_by.get(edge.source.key);
  }
  return way.reverse();
}
