/**
 * Changes of the registry as evidence: what happened to which agent, by whom, why
 * (contract `wire` §5.6, event `GovernanceMutation`).
 *
 * @module
 */
import { type EntryDraft, type EventType, hash16 } from "../../core/audit/entry.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";

/** Who made a change. */
export type Actor =
  | { readonly kind: "gateway" }
  | { readonly kind: "agent"; readonly agent_id: string }
  | { readonly kind: "operator"; readonly name: string };

/** The gateway itself. */
export const GATEWAY: Actor = Object.freeze({ kind: "gateway" });

/** What happened to one agent. */
export type ChangeAction =
  | "agent_registered"
  | "agent_deregistered"
  | "agent_suspended"
  | "agent_resumed"
  | "agent_promoted_to_root"
  | "agent_reparented"
  | "agent_killed"
  | "agent_token_rotated"
  | "agent_token_reissued"
  | "agent_token_revoked"
  | "governance_level_set"
  | "risk_tier_set"
  | "enforcement_mode_changed";

/** One change of one agent. */
export interface RegistryChange {
  readonly action: ChangeAction;
  /**
   * `applying`: recorded before the change is made, so that no change is without evidence.
   * `not_applied`: the change that was just recorded could not be made durable and did not happen.
   */
  readonly outcome: "applying" | "not_applied";
  readonly actor: Actor;
  readonly reason: string;
  /** Absent for a first registration. */
  readonly before: AgentRecord | undefined;
  readonly after: AgentRecord;
}

/**
 * Makes changes durable evidence. Called before they are made; a rejection stops them.
 *
 * @returns The audit index of each change, in order.
 */
export type RecordChanges = (changes: readonly RegistryChange[]) => Promise<readonly bigint[]>;

/**
 * The audit entry of a change.
 *
 * Payload keys are those of the contract, in alphabetical order: action, actor, after, before, org,
 * reason, team. `before` and `after` hold status, mode and lineage; no token, metadata or tool.
 *
 * @param change Its texts have been through the registry's redaction.
 * @param now_ns Server clock.
 */
export function changeEntry(change: RegistryChange, now_ns: bigint): EntryDraft {
  const { after } = change;
  const suffix = change.outcome === "not_applied" ? "_not_applied" : "";
  return {
    event_type: eventTypeOf(change),
    timestamp_ns: now_ns,
    agent_id: hash16(after.agent_id),
    session_id: new Uint8Array(16),
    payload: JSON.stringify({
      action: change.action + suffix,
      actor: actorText(change.actor),
      after: summary(after),
      before: summary(change.before),
      org: after.org_id === "" ? null : after.org_id,
      reason: change.reason,
      team: after.team_id === "" ? null : after.team_id,
    }),
    root_agent_id: Uint8Array.fromHex(after.root_key),
    ...(after.parent_key === undefined
      ? {}
      : { parent_agent_id: Uint8Array.fromHex(after.parent_key) }),
    depth: after.depth,
    ...(after.team_id === "" ? {} : { team_id: after.team_id }),
    ...(after.org_id === "" ? {} : { org_id: after.org_id }),
    ...(after.delegation_reason === undefined
      ? {}
      : { delegation_reason: after.delegation_reason }),
    ...(after.spawned_by_tool === undefined ? {} : { spawned_by_tool: after.spawned_by_tool }),
  };
}

/** An operator's end of a registration has an event type of its own (contract `wire` §5.1, 11). */
function eventTypeOf({ action, actor }: RegistryChange): EventType {
  const forced = action === "agent_deregistered" && actor.kind === "operator";
  return forced ? "AgentForceDeregistered" : "GovernanceMutation";
}

/** `gateway`, `operator:<name>` or `agent:<agent id>`. */
export function actorText(actor: Actor): string {
  switch (actor.kind) {
    case "gateway":
      return "gateway";
    case "operator":
      return `operator:${actor.name}`;
    case "agent":
      return `agent:${actor.agent_id}`;
  }
}

function summary(record: AgentRecord | undefined): Record<string, unknown> | null {
  if (record === undefined) return null;
  const { state, enforcement } = record;
  return {
    agent_key: record.key,
    credential_expires_at_ms: record.token_expires_at_ms ?? null,
    credential_live: record.token_hash !== undefined,
    depth: record.depth,
    enforcement_expires_at_ms: enforcement.mode === "observe" ? enforcement.expires_at_ms : null,
    enforcement_mode: enforcement.mode,
    enrolment_id: record.enrolment_id ?? null,
    framework: record.framework,
    governance_level: record.governance_level,
    name: record.name,
    orphaned: record.orphaned,
    parent_key: record.parent_key ?? null,
    risk_tier: record.risk_tier ?? null,
    root_key: record.root_key,
    status: state.status,
    status_cause: state.status === "suspended" ? state.cause : null,
    status_reason: state.status === "active" ? null : state.reason,
    tenancy: record.tenancy,
    version: record.version,
  };
}
