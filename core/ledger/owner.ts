/**
 * Whose account a call is charged to. One canonical key an agent (trap 29): the registry key of a
 * registered agent; who only claims a name is kept apart from everybody who proved one.
 *
 * @module
 */
import type { Principal } from "../principal.ts";

/** The account of the whole fleet. */
export const GLOBAL_OWNER = "global";

/** The shared account of unregistered agents beyond the bound on their number. */
export const CROWD_OWNER = "agent:asserted:*";

/** What an account counts. `subtree` is an agent together with all its descendants. */
export const OWNER_KINDS = ["agent", "subtree", "team", "org", "global"] as const;

/** One kind of owner. */
export type OwnerKind = (typeof OWNER_KINDS)[number];

/** Account key of an agent's own spend. */
export function agentOwner(key: string): string {
  return `agent:${key}`;
}

/** Account key of an agent with its descendants. */
export function subtreeOwner(key: string): string {
  return `subtree:${key}`;
}

/** Account key of a team; teams of two organisations may have the same name. */
export function teamOwner(org_id: string | undefined, team_id: string): string {
  return `team:${encodeURIComponent(org_id ?? "")}/${encodeURIComponent(team_id)}`;
}

/** Account key of an organisation. */
export function orgOwner(org_id: string): string {
  return `org:${encodeURIComponent(org_id)}`;
}

/** The kind of an account key; `undefined` when the text is none. */
export function ownerKind(owner: string): OwnerKind | undefined {
  if (owner === GLOBAL_OWNER) return "global";
  const kind = OWNER_KINDS.find((word) => owner.startsWith(`${word}:`));
  return kind === "global" || owner.length === (kind?.length ?? 0) + 1 ? undefined : kind;
}

/** What people call an account: its key without the kind, decoded. */
export function ownerName(owner: string): string {
  const at = owner.indexOf(":");
  if (at < 0) return owner;
  const name = owner.slice(at + 1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** The accounts of one call. */
export interface Owners {
  /** Key of the agent, as {@linkcode agentOwner} and {@linkcode subtreeOwner} take it. */
  readonly agent_key: string;
  readonly agent: string;
  /** Subtrees of the ancestors, root first, then the agent's own; empty for who never registered. */
  readonly subtrees: readonly string[];
  readonly team?: string;
  readonly org?: string;
  /** Every account, each once. */
  readonly all: readonly string[];
}

/**
 * The accounts a principal's calls are charged to.
 *
 * @param ancestors Registry keys of the agents above, root first.
 */
export function ownersOf(principal: Principal, ancestors: readonly string[]): Owners {
  const { registry_key, org_id, team_id } = principal;
  const agent_key = registry_key ?? `asserted:${principal.engine_key}`;
  const subtrees = registry_key === undefined
    ? []
    : [...ancestors.filter((key) => key !== registry_key), registry_key].map(subtreeOwner);
  const agent = agentOwner(agent_key);
  const team = named(team_id) ? teamOwner(org_id, team_id) : undefined;
  const org = named(org_id) ? orgOwner(org_id) : undefined;
  const all = [GLOBAL_OWNER, org, team, ...subtrees, agent].filter((owner) => owner !== undefined);
  return {
    agent_key,
    agent,
    subtrees,
    ...(team === undefined ? {} : { team }),
    ...(org === undefined ? {} : { org }),
    all,
  };
}

/** The same accounts, the agent's own replaced by the one all further strangers share. */
export function crowded(owners: Owners): Owners {
  const all = owners.all.map((owner) => owner === owners.agent ? CROWD_OWNER : owner);
  return { ...owners, agent: CROWD_OWNER, agent_key: "asserted:*", all };
}

function named(id: string | undefined): id is string {
  return id !== undefined && id !== "";
}

/** Organisation and team in the key of their account; `undefined` for any other key. */
export function tenantOfOwner(
  owner: string,
): { readonly org_id: string; readonly team_id: string } | undefined {
  const match = /^(?:team:([^/]*)\/([^/]+)|org:([^/]+))$/.exec(owner);
  if (match === null) return undefined;
  const [, org = "", team = "", alone] = match;
  try {
    return { org_id: decodeURIComponent(alone ?? org), team_id: decodeURIComponent(team) };
  } catch {
    return undefined;
  }
}
