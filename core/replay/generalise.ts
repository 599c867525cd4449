/**
 * From what was seen to rules that cover it: paths by longest common subtree, hosts by parent domain.
 * Each widens by one stated rule and never otherwise.
 *
 * @module
 */
import { normalizePath } from "../policy/filesystem.ts";
import type { Sighting } from "./observe.ts";

/** How far a learned policy may go beyond what was seen. */
export interface Generalising {
  /** Paths that share their first so many components are covered by their longest common directory. */
  readonly path_floor_components: number;
  /** So many hosts under one parent become `*.parent`... */
  readonly hosts_under_parent: number;
  /** ...when the parent has at least so many labels, so that no public suffix is ever opened. */
  readonly parent_labels: number;
}

/** Used unless said otherwise. */
export const GENERALISING: Generalising = {
  path_floor_components: 2,
  hosts_under_parent: 5,
  parent_labels: 3,
};

/** A rule, and what it covers. */
export interface Covering extends Sighting {
  readonly value: string;
  /** Different values seen. */
  readonly values: number;
}

/** Paths as subtrees, and those too near the root to be opened. */
export interface PathCovering {
  readonly subtrees: readonly Covering[];
  /** A rule for one of these would open more than `path_floor_components` allow. */
  readonly shallow: readonly Covering[];
}

/** Subtrees that cover every path: the longest common directory of those that share their start. */
export function coverPaths(
  paths: ReadonlyMap<string, Sighting>,
  { path_floor_components: floor }: Generalising,
): PathCovering {
  const groups = new Map<string, { parts: string[]; covering: Covering }>();
  const shallow: Covering[] = [];
  for (const [path, seen] of paths) {
    const parts = normalizePath(path).split("/").filter((part) => part !== "");
    if (parts.length < floor) {
      shallow.push({ value: path, values: 1, ...seen });
      continue;
    }
    const key = parts.slice(0, floor).join("/");
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { parts, covering: { value: "", values: 1, ...seen } });
      continue;
    }
    let common = 0;
    while (common < group.parts.length && group.parts[common] === parts[common]) common += 1;
    group.parts = group.parts.slice(0, common);
    group.covering = joined(group.covering, seen);
  }
  const subtrees = [...groups.values()]
    .map(({ parts, covering }) => ({ ...covering, value: `/${parts.join("/")}` }))
    .sort((a, b) => (a.value < b.value ? -1 : 1));
  return { subtrees, shallow };
}

/** Host names, and `*.parent` for parents with enough of them. */
export function coverHosts(
  hosts: ReadonlyMap<string, Sighting>,
  { hosts_under_parent, parent_labels }: Generalising,
): Covering[] {
  const by_parent = new Map<string, string[]>();
  for (const host of hosts.keys()) {
    const labels = host.split(".");
    const is_name = /[a-z]/.test(labels.at(-1) ?? "") && !host.includes(":");
    if (!is_name || labels.length - 1 < parent_labels) continue;
    const parent = labels.slice(1).join(".");
    by_parent.set(parent, [...by_parent.get(parent) ?? [], host]);
  }
  const covered = new Map<string, Covering>();
  for (const [host, seen] of hosts) {
    const parent = host.slice(host.indexOf(".") + 1);
    const wide = (by_parent.get(parent)?.length ?? 0) >= hosts_under_parent &&
      by_parent.get(parent)?.includes(host) === true;
    const value = wide ? `*.${parent}` : host;
    const known = covered.get(value);
    covered.set(value, known === undefined ? { value, values: 1, ...seen } : joined(known, seen));
  }
  return [...covered.values()].sort((a, b) => (a.value < b.value ? -1 : 1));
}

function joined(covering: Covering, seen: Sighting): Covering {
  return {
    value: covering.value,
    values: covering.values + 1,
    count: covering.count + seen.count,
    first_ms: Math.min(covering.first_ms, seen.first_ms),
    last_ms: Math.max(covering.last_ms, seen.last_ms),
  };
}
