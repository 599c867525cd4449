/**
 * What is reported after the fact, in the wire shapes of the reference's clients
 * (contract `wire` §3.6): no agent id and no time, the runtime adds both.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { type AuditEvent, AuditEventSchema } from "@agent-assembly/proto/audit";
import { ActionType, Decision } from "@agent-assembly/proto/common";

/** A finished model call. */
export interface LlmCallReport {
  /** The model's name. */
  readonly model: string;
  /** The model's provider. */
  readonly provider?: string;
  /** Tokens. */
  readonly prompt_tokens: number;
  /** Tokens. */
  readonly completion_tokens: number;
  /** How long the call took, milliseconds. */
  readonly latency_ms: number;
}

/** A relation between two agents. */
export interface EdgeReport {
  /** Agent at the one end. */
  readonly source: string;
  /** Agent at the other end. */
  readonly target: string;
  /** e.g. `delegates_to`. */
  readonly type: string;
  /** Free text, often JSON. */
  readonly metadata?: string;
}

const DENIED_TAGS: ReadonlySet<string> = new Set([
  "PolicyViolation",
  "policy_violation",
  "CredentialLeakBlocked",
  "MessageBlocked",
  "ApprovalDenied",
  "BudgetLimitExceeded",
]);
const ALLOWED_TAGS: ReadonlySet<string> = new Set([
  "ToolCallIntercepted",
  "ToolDispatched",
  "tool_call",
  "tool_result",
  "llm_call",
]);

/**
 * An event of a hook.
 *
 * @param type Tag; the violation tags make the event a denial with its details as the reason.
 */
export function hookEvent(event_id: string, type: string, details: string): AuditEvent {
  const denied = DENIED_TAGS.has(type);
  return create(AuditEventSchema, {
    eventId: event_id,
    actionType: actionTypeOf(type),
    labels: { event_type: type, details },
    ...(ALLOWED_TAGS.has(type) ? { decision: Decision.ALLOW } : {}),
    ...(denied
      ? {
        decision: Decision.DENY,
        detail: { case: "violation", value: { blockedAction: type, reason: details } },
      }
      : {}),
  });
}

function actionTypeOf(type: string): ActionType {
  switch (type) {
    case "llm_call":
      return ActionType.LLM_CALL;
    case "tool_result":
      return ActionType.TOOL_RESULT;
    default:
      return ActionType.TOOL_CALL;
  }
}

/** The event of a finished model call. */
export function llmCallEvent(event_id: string, call: LlmCallReport): AuditEvent {
  return create(AuditEventSchema, {
    eventId: event_id,
    actionType: ActionType.LLM_CALL,
    detail: {
      case: "llmCall",
      value: {
        model: call.model,
        promptTokens: call.prompt_tokens,
        completionTokens: call.completion_tokens,
        latencyMs: BigInt(Math.trunc(call.latency_ms)),
        provider: call.provider ?? "",
      },
    },
  });
}

/** The event of a relation between agents. */
export function edgeEvent(event_id: string, edge: EdgeReport): AuditEvent {
  return create(AuditEventSchema, {
    eventId: event_id,
    labels: {
      "__aa_edge_source__": edge.source,
      "__aa_edge_target__": edge.target,
      "__aa_edge_type__": edge.type,
      ...(edge.metadata === undefined ? {} : { "__aa_edge_metadata__": edge.metadata }),
    },
  });
}
