/**
 * Who asks, before any policy is looked at (contract `wire` §1.3, cases I1-I4). Nothing the agent
 * claims is believed without its token.
 *
 * @module
 */
import type { AgentStatus, IdentityAssurance, Principal } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { type AgentTriple, hash16Hex, UNATTRIBUTED_KEY } from "../identity/keys.ts";
import { hashesEqual, TOKEN_CHARS_MAX, tokenHash } from "../identity/tokens.ts";
import type { AgentEntry, AgentIndex } from "./agent_index.ts";
import { RegisteredContext, type TeamBudgetRemaining, UNREGISTERED_CONTEXT } from "./context.ts";

/** Why an identity is refused; the exact texts of the wire, and one of our own for strict mode. */
export type IdentityDenial =
  | "missing credential token"
  | "credential token mismatch"
  | "credential token registered to a different agent"
  /** Ours: the reference's tokens never end (trap 42). */
  | "credential token expired"
  | "credential token revoked"
  | "agent is not registered";

/** The answer of the identity circuit. */
export type IdentityOutcome =
  | {
    readonly outcome: "ok";
    readonly principal: Principal;
    /** Present exactly when the identity is bound. */
    readonly record: AgentRecord | undefined;
  }
  | {
    readonly outcome: "identity_denied";
    readonly reason: IdentityDenial;
    /** `asserted` when an agent id was claimed; a refused identity is never bound. */
    readonly assurance: Exclude<IdentityAssurance, "bound">;
    /** Whether the claimed agent is registered. */
    readonly registered: boolean;
    readonly token_present: boolean;
  };

/** What the circuit looks at. */
export interface CircuitOptions {
  readonly index: AgentIndex;
  readonly statusOf: (record: AgentRecord) => AgentStatus;
  /** Refuse agents that are not registered instead of asking the policies without a tenant. */
  readonly strict: boolean;
  readonly budget: TeamBudgetRemaining | undefined;
}

/**
 * Decides who asks.
 *
 * A claim on an ended registration is never active, so that ending a registration does not turn an
 * agent into an unknown one with fewer rules.
 *
 * @param claimed Names as the request gives them.
 * @param token Credential token of the request's body; empty when absent.
 */
export function identify(
  options: CircuitOptions,
  claimed: AgentTriple,
  token: string,
  now_ms: number,
): IdentityOutcome {
  const { index } = options;
  const entry = index.byTriple(claimed);
  if (entry !== undefined) return identifyRegistered(options, entry, token, now_ms);
  const blank = claimed.agent_id.trim() === "";
  const assurance = blank ? "unattributed" : "asserted";
  if (ownerOf(index, token) !== undefined) {
    const reason = "credential token registered to a different agent";
    return denied(reason, assurance, false, token);
  }
  if (options.strict) return denied("agent is not registered", assurance, false, token);
  const ended = blank ? undefined : index.endedByTriple(claimed);
  const principal: Principal = {
    assurance,
    agent_id: blank ? "" : claimed.agent_id,
    engine_key: blank ? UNATTRIBUTED_KEY : hash16Hex(claimed.agent_id),
    status: ended === undefined ? "active" : "deregistered",
    context: UNREGISTERED_CONTEXT,
  };
  return { outcome: "ok", principal, record: undefined };
}

/** Whether the token's time is over. */
export function tokenExpired(record: AgentRecord, now_ms: number): boolean {
  return record.token_expires_at_ms !== undefined && now_ms >= record.token_expires_at_ms;
}

/** The agent that a token belongs to, also one whose time is over. */
export function ownerOf(index: AgentIndex, token: string): AgentEntry | undefined {
  if (token === "" || token.length > TOKEN_CHARS_MAX) return undefined;
  return index.byTokenHash(tokenHash(token));
}

function identifyRegistered(
  options: CircuitOptions,
  entry: AgentEntry,
  token: string,
  now_ms: number,
): IdentityOutcome {
  const { record } = entry;
  if (token === "") return denied("missing credential token", "asserted", true, token);
  const expected = record.token_hash;
  // Without a live token nothing can match: whatever was sent is not looked at.
  if (expected === undefined) return denied("credential token revoked", "asserted", true, token);
  const matches = token.length <= TOKEN_CHARS_MAX && hashesEqual(tokenHash(token), expected);
  if (!matches) return denied("credential token mismatch", "asserted", true, token);
  if (tokenExpired(record, now_ms)) {
    return denied("credential token expired", "asserted", true, token);
  }
  return { outcome: "ok", principal: boundPrincipal(options, entry, now_ms), record };
}

/** The principal of a known agent; one whose registration has ended has no context any more. */
export function principalOf(
  options: CircuitOptions,
  record: AgentRecord,
  now_ms: number,
): Principal {
  const entry = options.index.byKey(record.key);
  if (entry !== undefined) return boundPrincipal(options, entry, now_ms);
  return {
    assurance: "asserted",
    agent_id: record.agent_id,
    engine_key: hash16Hex(record.agent_id),
    ...tenantOf(record),
    status: "deregistered",
    context: UNREGISTERED_CONTEXT,
  };
}

function boundPrincipal(options: CircuitOptions, entry: AgentEntry, now_ms: number): Principal {
  const { record } = entry;
  return {
    assurance: "bound",
    agent_id: record.agent_id,
    engine_key: entry.engine_key,
    registry_key: record.key,
    ...tenantOf(record),
    status: options.statusOf(record),
    context: new RegisteredContext(entry, options.index, now_ms, options.budget),
  };
}

function tenantOf({ org_id, team_id }: AgentRecord): { org_id?: string; team_id?: string } {
  return {
    ...(org_id === "" ? undefined : { org_id }),
    ...(team_id === "" ? undefined : { team_id }),
  };
}

function denied(
  reason: IdentityDenial,
  assurance: "unattributed" | "asserted",
  registered: boolean,
  token: string,
): IdentityOutcome {
  return {
    outcome: "identity_denied",
    reason,
    assurance,
    registered,
    token_present: token !== "",
  };
}
