/**
 * Where a new agent stands below others, and what becomes of an agent's descendants when its
 * registration ends (contract `policy-and-gateway` §7.5, §7.6). Pure: plans, changes nothing.
 *
 * @module
 */
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { AgentTriple } from "../identity/keys.ts";
import type { AgentEntry, AgentIndex } from "./agent_index.ts";
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** A place in the lineage. */
export interface Placement {
  readonly parent: AgentEntry | undefined;
  readonly root_key: string;
  readonly depth: number;
}

/** Finds the parent by name inside the child's own organisation and team. */
export function findParent(
  index: AgentIndex,
  child: AgentTriple,
  parent_agent_id: string | undefined,
): AgentEntry | undefined {
  if (parent_agent_id === undefined) return undefined;
  const parent = index.byTriple({ ...child, agent_id: parent_agent_id });
  if (parent !== undefined) return parent;
  throw new RegistryError(
    "parent_not_registered",
    "parent_agent_id: no agent of this name is registered in the same org and team; " +
      "register the parent first",
  );
}

/**
 * The new parent that an operator names by registry key.
 *
 * @throws {RegistryError} `parent_not_registered` when it is unknown, or of another tenant.
 */
export function parentIn(
  index: AgentIndex,
  child: AgentEntry,
  parent_key: string | undefined,
): AgentEntry | undefined {
  if (parent_key === undefined) return undefined;
  const parent = index.byKey(parent_key);
  if (parent !== undefined && parent.team === child.team) return parent;
  throw new RegistryError(
    "parent_not_registered",
    `parent: no agent \`${parent_key.slice(0, 64)}\` is registered in the agent's org and team`,
  );
}

/**
 * The place of a new agent. Ended registrations count as ancestors, because their keys can be
 * registered again.
 *
 * @param registering Parent keys of registrations under way, by child key.
 * @throws {RegistryError} `depth_exceeded`, `lineage_loop`.
 */
export function placeBelow(
  index: AgentIndex,
  key: string,
  parent: AgentEntry | undefined,
  registering: ReadonlyMap<string, string | undefined>,
): Placement {
  if (parent === undefined) return { parent, root_key: key, depth: 0 };
  const depth = parent.record.depth + 1;
  if (depth >= REGISTRY_LIMITS.lineage_depth) {
    throw new RegistryError(
      "depth_exceeded",
      `parent_agent_id: the agent would stand at depth \`${depth}\`, the deepest is ` +
        `${REGISTRY_LIMITS.lineage_depth - 1}; register it below a shallower parent`,
    );
  }
  let ancestor: string | undefined = parent.record.key;
  for (let step = 0; ancestor !== undefined; step++) {
    if (ancestor === key || step === REGISTRY_LIMITS.lineage_walk_agents) {
      throw new RegistryError(
        "lineage_loop",
        "parent_agent_id: the agent is, or was, its own ancestor; register it without a parent",
      );
    }
    ancestor = registering.get(ancestor) ?? index.recordOf(ancestor)?.parent_key;
  }
  return { parent, root_key: parent.record.root_key, depth };
}

/** What becomes of descendants (contract §7.6). */
export type OrphanMode = "suspend" | "promote_to_root" | "cascade_deregister";

/**
 * The descendants as they are after the end of `entry`'s registration, parents before children.
 *
 * @param entry The agent whose registration ends.
 */
export function orphansOf(
  index: AgentIndex,
  entry: AgentEntry,
  mode: OrphanMode,
  now_ms: number,
): AgentRecord[] {
  const [, ...descendants] = index.family(entry);
  const reason = `parent deregistered: ${entry.record.agent_id}`;
  switch (mode) {
    case "suspend":
      return descendants.map(({ record, parent }) => ({
        ...record,
        orphaned: record.orphaned || parent === entry,
        // What was killed stays killed: a parent's end must not make it resumable.
        state: isKilled(record)
          ? record.state
          : { status: "suspended", cause: "parent_deregistered", reason, since_ms: now_ms },
      }));
    case "cascade_deregister":
      return descendants.map(({ record }) => ended(record, reason, now_ms));
    case "promote_to_root":
      return promoted(entry, descendants);
  }
}

/** Whether an operator ended the agent for good. */
export function isKilled({ state }: AgentRecord): boolean {
  return state.status === "suspended" && state.cause === "killed";
}

/** A record without its token. */
export function withoutToken(record: AgentRecord): AgentRecord {
  const { token_hash: _, token_expires_at_ms: _end, ...kept } = record;
  return kept;
}

/** A record whose registration has ended; its token is gone. */
export function ended(record: AgentRecord, reason: string, now_ms: number): AgentRecord {
  const kept = withoutToken(record);
  return { ...kept, state: { status: "deregistered", reason, since_ms: now_ms } };
}

/** Children become roots; everyone below gets the new root and depth (trap 45). */
function promoted(entry: AgentEntry, descendants: readonly AgentEntry[]): AgentRecord[] {
  const placed = new Map<AgentEntry, AgentRecord>();
  for (const descendant of descendants) {
    const { record, parent } = descendant;
    const above = parent === undefined ? undefined : placed.get(parent);
    const next = above === undefined || parent === entry
      ? { ...record, orphaned: true, root_key: record.key, depth: 0 }
      : { ...record, root_key: above.root_key, depth: above.depth + 1 };
    placed.set(descendant, next);
  }
  return [...placed.values()];
}

/**
 * Checks the lineage of a loaded registry.
 *
 * @throws {RegistryError} `inconsistent`, naming the agent: the store was changed by other hands.
 */
export function checkLineage(index: AgentIndex): void {
  for (const { record, parent } of index.entries()) {
    if (parent !== undefined) checkBelow(record, parent.record);
    else if (record.parent_key !== undefined && !record.orphaned) {
      throw inconsistent(record, "its parent is not registered");
    }
  }
}

function checkBelow(child: AgentRecord, parent: AgentRecord): void {
  // A child is one deeper than its parent everywhere, so there can be no loop either.
  if (child.depth !== parent.depth + 1) throw inconsistent(child, "its depth is wrong");
  if (child.root_key !== parent.root_key) throw inconsistent(child, "its root is wrong");
  if (child.org_id !== parent.org_id || child.team_id !== parent.team_id) {
    throw inconsistent(child, "its parent belongs to another team");
  }
}

function inconsistent(record: AgentRecord, reason: string): RegistryError {
  return new RegistryError(
    "inconsistent",
    `cannot load the registry: agent \`${record.key}\`: ${reason}; restore a backup`,
  );
}
