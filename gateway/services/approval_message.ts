/**
 * A request as operators see it on the wire.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ApprovalRequest, targetText, type Vote } from "../../core/approval/mod.ts";
import type {
  ApprovalSchema,
  ApprovalVoteSchema,
} from "../../proto/gen/assembly/admin/v1/approvals_pb.ts";
import { clean } from "../engine/evidence.ts";

/** The message of one request. */
export function approvalMessage(request: ApprovalRequest): MessageInitShape<typeof ApprovalSchema> {
  const { requester, rule, escalation, state } = request;
  return {
    requestId: request.request_id,
    status: state.status,
    agentId: requester.agent_id,
    agentKey: requester.key,
    orgId: requester.org_id ?? "",
    teamId: requester.team_id ?? "",
    assurance: requester.assurance,
    actionKind: request.action_kind,
    actionType: request.action_type,
    resource: request.resource,
    askedBy: request.asked_by,
    why: request.why,
    rule: rule?.path ?? "",
    ruleAt: rule === undefined ? "" : `${rule.file}:${rule.line}:${rule.column}`,
    policyDocIds: [...request.policy_digests],
    microUsd: BigInt(request.micro_usd),
    digest: request.call.digest,
    submittedAtUnixMs: BigInt(request.submitted_at_ms),
    expiresAtUnixMs: BigInt(state.status === "pending" ? request.expires_at_ms : 0),
    routingStatus: request.routing_status,
    targets: request.targets.map(targetText),
    escalatesAtUnixMs: BigInt(state.status === "pending" ? escalation?.at_ms ?? 0 : 0),
    escalatesTo: escalation === undefined ? "" : targetText(escalation.to),
    quorum: request.quorum,
    votes: request.votes.map(voteMessage),
    steps: request.steps.map((step) => ({
      action: step.action,
      atUnixMs: BigInt(step.at_ms),
      to: step.to,
      by: step.by ?? "",
    })),
    ...endingOf(request),
  };
}

function voteMessage(vote: Vote): MessageInitShape<typeof ApprovalVoteSchema> {
  return {
    by: vote.by,
    verdict: vote.verdict,
    atUnixMs: BigInt(vote.at_ms),
    reason: clean(vote.reason),
    condition: vote.terms?.condition ?? "",
  };
}

/** What only some states have. */
function endingOf({ state }: ApprovalRequest): MessageInitShape<typeof ApprovalSchema> {
  const ended = "ended_at_ms" in state ? { endedAtUnixMs: BigInt(state.ended_at_ms) } : {};
  switch (state.status) {
    case "approved":
    case "spent":
      return {
        ...ended,
        condition: state.terms.condition,
        uses: state.uses,
        maxUses: state.terms.max_uses,
        grantExpiresAtUnixMs: BigInt(state.terms.valid_until_ms),
      };
    case "rejected":
    case "revoked":
      return { ...ended, reason: clean(state.reason) };
    default:
      return ended;
  }
}
