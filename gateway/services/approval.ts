/**
 * `assembly.approval.v1.ApprovalService`: the reference's surface, for registered agents
 * (contract `wire` §1.5, §2.6).
 *
 * An agent sees the requests of its team and those without one; it decides only what
 * `core/approval/approver.ts` lets it. The surface has no field for the digest of what is approved;
 * the request id stands for it, and no request ever changes its digest.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Answer,
  type ApprovalRequest,
  CONDITION_TRIGGERED,
  type NotPermitted,
} from "../../core/approval/mod.ts";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  ApprovalDecisionType,
  ApprovalEventSchema,
  type ApprovalService,
  DecideResponseSchema,
  ListPendingResponseSchema,
  type PendingApprovalSchema,
} from "../../proto/gen/assembly/approval/v1/approval_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { actionText, timeoutSecs } from "../approvals/evidence.ts";
import { agentApprover } from "../approvals/parties.ts";
import type { ApprovalQueue, QueueRefusal } from "../approvals/queue.ts";
import { TooManyWatchers, WatchOverflow } from "../approvals/watch.ts";
import type { Counters } from "../counters.ts";
import type { Registry } from "../registry/registry.ts";
import { requireAgent } from "./caller.ts";

/** What the service needs. */
export interface ApprovalServiceDependencies {
  readonly queue: ApprovalQueue;
  readonly registry: Registry;
  readonly counters: Counters;
}

/**
 * Text of one list in UTF-16 units: clients of the reference take 4 MiB. At it the newest requests
 * are left out; they appear as older ones are decided.
 */
export const LIST_PENDING_CHARS_MAX = 1_000_000;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Refusals that the contract answers with `PERMISSION_DENIED`. */
const NOT_PERMITTED: ReadonlySet<QueueRefusal> = new Set<NotPermitted>([
  "self_approval",
  "lineage",
  "owner",
  "other_tenant",
  "agents_excluded",
  "wrong_role",
]);

/** Handlers; every call needs the token of a registered agent. */
export function approvalHandlers(
  on: ApprovalServiceDependencies,
): ServiceHandlers<typeof ApprovalService> {
  return {
    listPending: (_request, context) => {
      const caller = requireAgent(context, on.registry, on.counters);
      return create(ListPendingResponseSchema, { requests: pendingFor(on.queue, caller) });
    },
    decide: async ({ requestId, decision, reason }, context) => {
      const caller = requireAgent(context, on.registry, on.counters);
      if (!UUID.test(requestId)) throw invalid("request_id: is not a UUID");
      const answer = answerOf(decision, reason);
      const status = on.registry.statusOf(caller);
      if (status !== "active") {
        throw new GrpcError(`the calling agent is ${status}`, Code.PERMISSION_DENIED);
      }
      const approver = agentApprover(caller, (key) => on.registry.byKey(key));
      const changed = await on.queue.answer(requestId.toLowerCase(), approver, answer);
      if (changed.ok) return create(DecideResponseSchema, { success: true });
      on.counters.add(`approval_answers_refused.${changed.code}`);
      if (NOT_PERMITTED.has(changed.code)) {
        throw new GrpcError(changed.message, Code.PERMISSION_DENIED);
      }
      if (["unavailable", "damaged", "busy"].includes(changed.code)) {
        throw new GrpcError(changed.message, Code.UNAVAILABLE);
      }
      return create(DecideResponseSchema, { success: false, errorMessage: changed.message });
    },
    watchApprovals: async function* (_request, context) {
      const caller = requireAgent(context, on.registry, on.counters);
      try {
        const stream = on.queue.watchers.stream(
          ({ change, request }) => change === "submitted" && isVisible(request, caller),
          context.signal,
        );
        context.sendHeaders();
        for await (const { request } of stream) {
          // A watch ends with the registration that opened it.
          if (on.registry.byKey(caller.key)?.state.status !== "active") {
            throw new GrpcError("the calling agent is not active", Code.PERMISSION_DENIED);
          }
          yield create(ApprovalEventSchema, eventOf(request));
        }
      } catch (error) {
        if (error instanceof WatchOverflow || error instanceof TooManyWatchers) {
          throw new GrpcError(error.message, Code.RESOURCE_EXHAUSTED);
        }
        throw error;
      }
    },
  };
}

/** Of the caller's team, or of nobody's in the caller's organisation. */
function isVisible({ requester }: ApprovalRequest, caller: AgentRecord): boolean {
  if ((requester.org_id ?? "") !== caller.org_id && requester.org_id !== undefined) return false;
  return requester.team_id === undefined || requester.team_id === caller.team_id;
}

function pendingFor(
  queue: ApprovalQueue,
  caller: AgentRecord,
): MessageInitShape<typeof PendingApprovalSchema>[] {
  const { book } = queue;
  if ("ok" in book) throw new GrpcError(book.message, Code.UNAVAILABLE);
  const now_ms = queue.now_ms();
  const listed: MessageInitShape<typeof PendingApprovalSchema>[] = [];
  let chars = 0;
  for (const request of book.liveRequests()) {
    if (request.state.status !== "pending" || now_ms >= request.expires_at_ms) continue;
    if (!isVisible(request, caller)) continue;
    const { requester, routing_status } = request;
    chars += requester.agent_id.length + routing_status.length + 128;
    if (chars > LIST_PENDING_CHARS_MAX) break;
    listed.push({
      ...eventOf(request),
      teamId: requester.team_id ?? "",
      routingStatus: routing_status,
    });
  }
  return listed;
}

/** The fields that a listed request and a watched one have in common. */
interface CommonFields {
  readonly requestId: string;
  readonly agentId: string;
  readonly action: string;
  readonly conditionTriggered: string;
  readonly submittedAt: bigint;
  readonly timeoutSecs: bigint;
}

function eventOf(request: ApprovalRequest): CommonFields {
  return {
    requestId: request.request_id,
    agentId: request.requester.agent_id,
    action: actionText(request),
    conditionTriggered: CONDITION_TRIGGERED,
    submittedAt: BigInt(Math.floor(request.submitted_at_ms / 1000)),
    timeoutSecs: BigInt(timeoutSecs(request)),
  };
}

/** @throws {GrpcError} `INVALID_ARGUMENT` (contract §1.5). */
function answerOf(decision: ApprovalDecisionType, reason: string): Answer {
  switch (decision) {
    case ApprovalDecisionType.APPROVED:
      return { verdict: "approve", reason, conditions: [] };
    case ApprovalDecisionType.REJECTED:
      if (reason.trim() === "") throw invalid("reason: is missing: say why it is rejected");
      return { verdict: "reject", reason, conditions: [] };
    default:
      throw invalid("decision: expected APPROVED (1) or REJECTED (2)");
  }
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
