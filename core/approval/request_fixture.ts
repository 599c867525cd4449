/**
 * Requests, approvers and calls for tests.
 *
 * @module
 */
import type { Approver, ApproverRole, Requester } from "./approver.ts";
import { type BoundCall, digestCall, exactAction } from "./bound_call.ts";
import { type Answer, type ApprovalRequest, type NewRequest, openRequest } from "./request.ts";
import { routeFor, type RoutingRow } from "./routing.ts";

/** Noon of a day. */
export const NOON_MS = Date.UTC(2026, 0, 7, 12);

/** The agent that asks: depth 1 below `root`, team t1 of o1. */
export const REQUESTER: Requester = {
  key: "a1".repeat(16),
  agent_id: "a1",
  org_id: "o1",
  team_id: "t1",
  assurance: "bound",
  root_key: "00".repeat(16),
  ancestors: ["00".repeat(16)],
  enrolled: false,
};

/** One call of that agent. */
export const CALL: BoundCall = {
  agent: REQUESTER,
  action: exactAction({ kind: "tool_call", tool: "pay", args: '{"amount": 500}' }),
  policy_digests: [`sha256:${"d".repeat(64)}`],
  micro_usd: 0,
  asked_by: "policy",
};

/** An operator. */
export function operator(name: string, role: ApproverRole = "org_admin"): Approver {
  return { kind: "operator", name, role };
}

/** An agent of team t1, its own root unless said otherwise. */
export function agent(
  agent_id: string,
  change: Partial<Extract<Approver, { kind: "agent" }>> = {},
): Approver {
  const key = agent_id.padEnd(32, "f");
  return {
    kind: "agent",
    key,
    agent_id,
    org_id: "o1",
    team_id: "t1",
    root_key: key,
    ancestors: [],
    enrolled: false,
    ...change,
  };
}

/** A fresh request of {@linkcode CALL} with 300 seconds to live. */
export function requestOf(
  change: Partial<NewRequest> = {},
  rows: readonly RoutingRow[] = [],
): ApprovalRequest {
  const requester = change.requester ?? REQUESTER;
  const timeout_ms = change.timeout_ms ?? 300_000;
  const route = routeFor(rows, {
    kind: "tool_use",
    timeout_ms,
    ...(requester.team_id === undefined ? {} : { team_id: requester.team_id }),
  });
  return openRequest({
    request_id: "00000000-0000-4000-8000-000000000001",
    call: digestCall(CALL),
    requester,
    action_kind: "tool_call",
    action_type: 2,
    resource: "pay",
    policy_digests: CALL.policy_digests,
    micro_usd: 0,
    asked_by: "policy",
    why: "",
    now_ms: NOON_MS,
    timeout_ms,
    route,
    ...change,
  });
}

/** A routing row with everything at its usual value. */
export function rowOf(change: Partial<RoutingRow>): RoutingRow {
  return {
    approvers: [],
    escalation_approvers: [],
    quorum: 1,
    agents_may_decide: true,
    owner_may_decide: false,
    ...change,
  };
}

/** A plain yes to what was seen. */
export function yesTo(request: ApprovalRequest, conditions: readonly string[] = []): Answer {
  return { verdict: "approve", reason: "", conditions, expected_digest: request.call.digest };
}

/** A plain no. */
export function no(reason = "no"): Answer {
  return { verdict: "reject", reason, conditions: [] };
}
