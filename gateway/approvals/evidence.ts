/**
 * Approvals as evidence: one audit entry for every step, in the contract's own event types
 * (contract `wire` §4, §5.6). No argument, reason text beyond what was typed, or token is in it.
 *
 * @module
 */
import { type EntryDraft, type EventType, hash16 } from "../../core/audit/entry.ts";
import { type ApprovalRequest, CONDITION_TRIGGERED, targetText } from "../../core/approval/mod.ts";
import { clean } from "../engine/evidence.ts";

/** What happened, beside what the request says. Values are JSON; texts are scanned here. */
export type StepFacts = Readonly<Record<string, string | number | boolean | null>>;

/** One entry about one request. */
export function approvalEntry(
  event_type: EventType,
  request: ApprovalRequest,
  facts: StepFacts,
  now_ns: bigint,
): EntryDraft {
  const { requester, rule } = request;
  const payload: Record<string, string | number | boolean | null> = {
    action: actionText(request),
    action_kind: request.action_kind,
    agent_id: requester.agent_id,
    approval_id: request.request_id,
    asked_by: request.asked_by,
    call_digest: request.call.digest,
    condition_triggered: CONDITION_TRIGGERED,
    micro_usd: request.micro_usd,
    request_id: request.request_id,
    resource: request.resource,
    rule: rule?.path ?? null,
    team_id: requester.team_id ?? null,
    timeout_secs: timeoutSecs(request),
    ...facts,
  };
  const sorted = Object.keys(payload).sort().map((key) => {
    const value = payload[key] ?? null;
    return [key, typeof value === "string" ? clean(value) : value];
  });
  return {
    event_type,
    timestamp_ns: now_ns,
    agent_id: requester.agent_id === "" ? new Uint8Array(16) : hash16(requester.agent_id),
    session_id: hash16(request.request_id),
    payload: JSON.stringify(Object.fromEntries(sorted)),
    ...(requester.team_id === undefined ? {} : { team_id: requester.team_id }),
    ...(requester.org_id === undefined ? {} : { org_id: requester.org_id }),
    ...(rule === undefined ? {} : { policy_doc_id: rule.policy_doc_id }),
  };
}

/** The contract's text for an action: `action_type=N`. */
export function actionText({ action_type }: ApprovalRequest): string {
  return `action_type=${action_type}`;
}

/** Whole seconds a request may wait, at least 1. */
export function timeoutSecs({ expires_at_ms, submitted_at_ms }: ApprovalRequest): number {
  return Math.max(1, Math.ceil((expires_at_ms - submitted_at_ms) / 1000));
}

/** Where a request is routed, as evidence. */
export function routeFacts(request: ApprovalRequest): StepFacts {
  return {
    quorum: request.quorum,
    routed_to: request.targets.map(targetText).join(", "),
    routing_status: request.routing_status,
  };
}
