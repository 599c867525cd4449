/**
 * The audit entry that stands for a reported event, and the subject it is published under (contract
 * `wire` §4.2).
 *
 * @module
 */
import { LIMITS } from "../../core/limits.ts";
import { type EntryDraft, type EventType, hash16 } from "../../core/audit/entry.ts";
import { audit, common } from "../../proto/mod.ts";
import { actionName } from "../pipeline/own_events.ts";
import type { AgentIdentity, Enrichment } from "../pipeline/enrichment.ts";
import { isTamperSuspected } from "../pipeline/identity.ts";

/** The entry of a redacted event. Payload keys are in alphabetical order, as the reference's. */
export function entryOf(
  event: audit.AuditEvent,
  enrichment: Enrichment,
  agent: AgentIdentity,
): EntryDraft {
  const org_id = event.agentId?.orgId ?? "";
  const team_id = teamOf(event);
  const root = uuidBytes(event.rootAgentId);
  const parent = uuidBytes(event.parentAgentId);
  return {
    event_type: eventTypeOf(event),
    timestamp_ns: BigInt(enrichment.received_at_ms) * 1_000_000n,
    agent_id: agentBytes(enrichment, agent),
    session_id: uuidOrHash(event.sessionId === "" ? event.eventId : event.sessionId),
    payload: payloadOf(event, enrichment),
    ...(root === undefined ? {} : { root_agent_id: root }),
    ...(parent === undefined ? {} : { parent_agent_id: parent }),
    ...(team_id === "" ? {} : { team_id }),
    ...(org_id === "" ? {} : { org_id }),
    ...(event.delegationReason === "" ? {} : { delegation_reason: cut(event.delegationReason) }),
    ...(event.spawnedByTool === "" ? {} : { spawned_by_tool: cut(event.spawnedByTool) }),
    ...(event.depth === 0 ? {} : { depth: event.depth }),
  };
}

/** `assembly.audit.<tenant>.<agent uuid>`. */
export function subjectOf(event: audit.AuditEvent, agent_id: Uint8Array): string {
  const org = event.agentId?.orgId ?? "";
  const tenant = org !== "" ? org : teamOf(event) !== "" ? teamOf(event) : "default";
  const token = tenant.replaceAll(/[^A-Za-z0-9_-]/gu, "_");
  return `assembly.audit.${token}.${uuidText(agent_id)}`;
}

function eventTypeOf(event: audit.AuditEvent): EventType {
  if (event.detail.case === "violation") return "PolicyViolation";
  if (event.actionType === common.ActionType.AGENT_SPAWN) return "A2ACallIntercepted";
  return "ToolCallIntercepted";
}

function teamOf(event: audit.AuditEvent): string {
  const team = event.agentId?.teamId ?? "";
  return team === "" ? event.teamId : team;
}

/** An event that named nobody is the runtime's agent, and that name is hashed even if it is a UUID. */
function agentBytes(enrichment: Enrichment, agent: AgentIdentity): Uint8Array {
  return enrichment.claimed_agent_id === agent.agent_id
    ? uuidOrHash(agent.agent_id)
    : hash16(agent.agent_id);
}

function payloadOf(event: audit.AuditEvent, enrichment: Enrichment): string {
  const { sdk_verdict, forged_trust_markers, source } = enrichment;
  return JSON.stringify({
    action_type: actionName(event.actionType),
    decision: event.decision,
    detail: detailOf(event.detail),
    event_id: event.eventId,
    ...(sdk_verdict === undefined ? {} : {
      sdk_identity: {
        forged_trust_markers,
        tamper_suspected: isTamperSuspected(sdk_verdict, forged_trust_markers),
        verdict: sdk_verdict,
      },
    }),
    source,
  });
}

function detailOf(detail: audit.AuditEvent["detail"]): Record<string, unknown> | null {
  switch (detail.case) {
    case "llmCall":
      return { kind: "llm_call", model: detail.value.model, provider: detail.value.provider };
    case "toolCall": {
      const { succeeded, toolName, toolSource } = detail.value;
      return { kind: "tool_call", succeeded, tool_name: toolName, tool_source: toolSource };
    }
    case "fileOp": {
      const { operation, path, source } = detail.value;
      return { kind: "file_op", operation, path, source };
    }
    case "network": {
      const { host, port, protocol } = detail.value;
      return { host, kind: "network_call", port, protocol };
    }
    case "process": {
      const { command, exitCode } = detail.value;
      return { command, exit_code: exitCode, kind: "process_exec" };
    }
    case "violation": {
      const { blockedAction, policyRule, reason } = detail.value;
      return {
        blocked_action: blockedAction,
        kind: "policy_violation",
        policy_rule: policyRule,
        reason,
      };
    }
    case "approval": {
      const { approvalId, approved } = detail.value;
      return { approval_id: approvalId, approved, kind: "approval" };
    }
    default:
      return null;
  }
}

/** As much of a text as an entry's field takes, whole characters only. */
function cut(text: string): string {
  const room = new Uint8Array(LIMITS.identifier_bytes);
  return text.slice(0, new TextEncoder().encodeInto(text, room).read);
}

/** Bytes of a UUID text; `undefined` for anything else. */
function uuidBytes(text: string): Uint8Array | undefined {
  const bare = /^(?:urn:uuid:)?\{?([0-9a-fA-F-]{32,36})\}?$/.exec(text)?.[1] ?? "";
  const shaped = bare.length === 36
    ? /^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$/.test(bare)
    : /^[0-9a-fA-F]{32}$/.test(bare);
  return shaped ? Uint8Array.fromHex(bare.replaceAll("-", "")) : undefined;
}

function uuidOrHash(text: string): Uint8Array {
  return uuidBytes(text) ?? hash16(text);
}

function uuidText(bytes: Uint8Array): string {
  const hex = bytes.toHex();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
    .join("-");
}
