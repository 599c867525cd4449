/**
 * What operators may do to an agent beyond suspending it: kill, move, revoke, set level and tier.
 * Pure: plans changes, makes none.
 *
 * @module
 */
import type { AgentRecord, SuspensionCause } from "../../storage/sqlite/records.ts";
import type { AgentEntry, AgentIndex } from "./agent_index.ts";
import { type Actor, GATEWAY } from "./changes.ts";
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import { isKilled, type Placement, withoutToken } from "./lineage.ts";
import type { Planned } from "./write_through.ts";

/** Who asks for a change, why, and when. */
export interface ChangeTerms {
  readonly actor: Actor;
  /** Cleaned and bounded. */
  readonly reason: string;
  readonly now_ms: number;
}

/**
 * Ends an agent for good: no token, and denied like a suspended one. Its descendants cannot act
 * under a killed parent: they are suspended, or with `cascade` killed as well.
 *
 * @throws {RegistryError} `wrong_status` when it is killed already.
 */
export function planKill(
  index: AgentIndex,
  entry: AgentEntry,
  cascade: boolean,
  terms: ChangeTerms,
): Planned[] {
  if (isKilled(entry.record)) {
    throw new RegistryError("wrong_status", "the agent is killed already");
  }
  const [, ...descendants] = index.family(entry);
  const why = `parent killed: ${entry.record.agent_id}`;
  const own = killed(entry.record, terms.actor, terms.reason, terms.now_ms);
  const below = descendants.flatMap(({ record }): Planned[] => {
    if (isKilled(record)) return [];
    if (cascade) return [killed(record, terms.actor, why, terms.now_ms)];
    if (record.state.status !== "active") return [];
    const state = suspended("parent_suspended", why, terms.now_ms);
    const after = { ...record, state };
    return [{ action: "agent_suspended", actor: GATEWAY, reason: why, before: record, after }];
  });
  return [own, ...below];
}

function killed(record: AgentRecord, actor: Actor, reason: string, now_ms: number): Planned {
  const after = { ...withoutToken(record), state: suspended("killed", reason, now_ms) };
  return { action: "agent_killed", actor, reason, before: record, after };
}

function suspended(cause: SuspensionCause, reason: string, since_ms: number): AgentRecord["state"] {
  return { status: "suspended", cause, reason, since_ms };
}

/**
 * Takes an agent's token away; its key can prove itself for a new one.
 *
 * @throws {RegistryError} `wrong_status` when it has none.
 */
export function planRevocation({ record }: AgentEntry, terms: ChangeTerms): Planned {
  if (record.token_hash === undefined) {
    throw new RegistryError("wrong_status", "the agent has no token to revoke");
  }
  const { actor, reason } = terms;
  const after = withoutToken(record);
  return { action: "agent_token_revoked", actor, reason, before: record, after };
}

/**
 * Moves an agent, and everything below it, below another place. Empty when it stands there already.
 *
 * @param placement From `placeBelow`, which refuses loops and the agent's own depth.
 * @throws {RegistryError} `depth_exceeded` when a descendant would stand too deep.
 */
export function planReparent(
  index: AgentIndex,
  entry: AgentEntry,
  placement: Placement,
  terms: ChangeTerms,
): Planned[] {
  const { actor, reason } = terms;
  const moved = new Map<AgentEntry, AgentRecord>();
  for (const member of index.family(entry)) {
    const above = member === entry || member.parent === undefined
      ? undefined
      : moved.get(member.parent);
    const after = above === undefined
      ? placed(member.record, placement)
      : { ...member.record, root_key: above.root_key, depth: above.depth + 1 };
    if (after.depth >= REGISTRY_LIMITS.lineage_depth) {
      throw new RegistryError(
        "depth_exceeded",
        `parent: descendant \`${after.key}\` would stand at depth \`${after.depth}\`, the deepest ` +
          `is ${REGISTRY_LIMITS.lineage_depth - 1}; choose a shallower parent`,
      );
    }
    moved.set(member, after);
  }
  return [...moved].flatMap(([{ record }, after]): Planned[] =>
    sameLineage(record, after)
      ? []
      : [{ action: "agent_reparented", actor, reason, before: record, after }]
  );
}

function placed(record: AgentRecord, { parent, root_key, depth }: Placement): AgentRecord {
  const { parent_key: _, ...rest } = record;
  return {
    ...rest,
    ...(parent === undefined ? {} : { parent_key: parent.record.key }),
    orphaned: false,
    root_key,
    depth,
  };
}

function sameLineage(one: AgentRecord, other: AgentRecord): boolean {
  return one.parent_key === other.parent_key && one.orphaned === other.orphaned &&
    one.root_key === other.root_key && one.depth === other.depth;
}
