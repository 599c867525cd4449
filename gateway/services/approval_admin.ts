/**
 * `assembly.admin.v1.ApprovalAdminService`: approvals as operators see and decide them. Not part of
 * the reference: an approver must say which digest was seen.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { ApprovalRequest } from "../../core/approval/mod.ts";
import { contains, permits } from "../../core/iam/permits.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type ApprovalAdminService,
  ApprovalNoticeSchema,
  DecideApprovalResponseSchema,
  GetApprovalResponseSchema,
  ListApprovalsResponseSchema,
} from "../../proto/gen/assembly/admin/v1/approvals_pb.ts";
import type { ApprovalBook } from "../approvals/book.ts";
import { listRequests } from "../approvals/listing.ts";
import { operatorApprover } from "../approvals/parties.ts";
import type { ApprovalQueue, Changed, QueueRefusal } from "../approvals/queue.ts";
import type { ShownTexts } from "../approvals/shown_texts.ts";
import { TooManyWatchers, WatchOverflow } from "../approvals/watch.ts";
import type { Counters } from "../counters.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import { assertPermitted, identified, requirePermission } from "./operator.ts";
import { approvalMessage } from "./approval_message.ts";

/** What the service shows and changes. */
export interface ApprovalAdminDependencies {
  readonly queue: ApprovalQueue;
  readonly texts: ShownTexts;
  readonly operators: Operators;
  readonly counters: Counters;
}

type Handlers = ServiceHandlers<typeof ApprovalAdminService>;

/** Handlers; every call needs an operator. */
export function approvalAdminHandlers(on: ApprovalAdminDependencies): Handlers {
  return { ...readingHandlers(on), ...decidingHandlers(on) };
}

function readingHandlers(
  on: ApprovalAdminDependencies,
): Pick<Handlers, "listApprovals" | "getApproval" | "watchApprovals"> {
  const reader = (context: CallContext) =>
    requirePermission(context, on.operators, on.counters, "approval.read");
  return {
    listApprovals: ({ status, agent, page, perPage }, context) => {
      const operator = reader(context);
      const listed = listRequests(bookOf(on.queue), {
        status,
        agent,
        page,
        per_page: perPage,
        visible: (request) => sees(operator, request),
      });
      return create(ListApprovalsResponseSchema, {
        approvals: listed.requests.map(approvalMessage),
        page: listed.page,
        perPage: listed.per_page,
        total: listed.total,
      });
    },
    getApproval: ({ requestId }, context) => {
      const operator = reader(context);
      const request = visibleRequest(on.queue, operator, requestId);
      const shown = on.texts.get(request.request_id);
      return create(GetApprovalResponseSchema, {
        approval: approvalMessage(request),
        shownText: shown?.text ?? "",
        shownTextCutChars: shown?.cut_chars ?? 0,
        shownTextHeld: shown !== undefined,
      });
    },
    watchApprovals: async function* ({ backlog }, context) {
      const operator = reader(context);
      try {
        const stream = on.queue.watchers.stream(
          ({ request }) => sees(operator, request),
          context.signal,
        );
        context.sendHeaders();
        if (backlog) {
          for (const request of [...bookOf(on.queue).liveRequests()]) {
            if (request.state.status !== "pending" || !sees(operator, request)) continue;
            yield create(ApprovalNoticeSchema, {
              change: "pending",
              approval: approvalMessage(request),
            });
          }
        }
        for await (const { change, request } of stream) {
          // The token may have ended since.
          reader(context);
          yield create(ApprovalNoticeSchema, { change, approval: approvalMessage(request) });
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

function decidingHandlers(
  on: ApprovalAdminDependencies,
): Pick<Handlers, "approveApproval" | "rejectApproval" | "forwardApproval" | "revokeApproval"> {
  const { queue } = on;
  return {
    approveApproval: async ({ requestId, expectedDigest, reason, conditions }, context) => {
      const operator = await decider(on, context, requestId, "approve");
      if (expectedDigest === "") {
        throw new GrpcError(
          "expected_digest: is missing: send the digest that was shown",
          Code.INVALID_ARGUMENT,
        );
      }
      return answered(
        on,
        await queue.answer(requestId, operatorApprover(operator), {
          verdict: "approve",
          reason,
          conditions,
          expected_digest: expectedDigest,
        }),
      );
    },
    rejectApproval: async ({ requestId, expectedDigest, reason }, context) => {
      const operator = await decider(on, context, requestId, "reject");
      return answered(
        on,
        await queue.answer(requestId, operatorApprover(operator), {
          verdict: "reject",
          reason,
          conditions: [],
          ...(expectedDigest === "" ? {} : { expected_digest: expectedDigest }),
        }),
      );
    },
    forwardApproval: async ({ requestId, to, reason }, context) => {
      const operator = await decider(on, context, requestId, "forward");
      return answered(on, await queue.forward(requestId, operatorApprover(operator), to, reason));
    },
    revokeApproval: async ({ requestId, reason }, context) => {
      const operator = await decider(on, context, requestId, "revoke");
      return answered(on, await queue.revoke(requestId, `operator:${operator.name}`, reason));
    },
  };
}

/**
 * The operator that calls, allowed to decide for the tenant of the request. Who may see the request
 * and not decide it is on record as having tried.
 */
async function decider(
  on: ApprovalAdminDependencies,
  context: CallContext,
  request_id: string,
  attempted: string,
): Promise<AuthenticatedOperator> {
  const operator = identified(context, on.operators, on.counters);
  if (!permits(operator, "approval.decide").ok) {
    await on.queue.refuse(request_id, `operator:${operator.name}`, attempted, "no_permission");
  }
  assertPermitted(operator, on.counters, "approval.decide");
  const { requester } = visibleRequest(on.queue, operator, request_id);
  const { org_id = "", team_id = "" } = requester;
  const target = { kind: "tenant", org_id, team_id } as const;
  if (!permits(operator, "approval.decide", target).ok) {
    await on.queue.refuse(request_id, `operator:${operator.name}`, attempted, "other_tenant");
  }
  assertPermitted(operator, on.counters, "approval.decide", target);
  return operator;
}

/** @throws {GrpcError} `NOT_FOUND`, also for a request of a tenant that the operator cannot see. */
function visibleRequest(
  queue: ApprovalQueue,
  operator: AuthenticatedOperator,
  request_id: string,
): ApprovalRequest {
  const request = bookOf(queue).get(request_id);
  if (request !== undefined && sees(operator, request)) return request;
  throw new GrpcError(
    `request_id: no approval request \`${
      request_id.slice(0, 64)
    }\`: list them with \`aasm approvals list\``,
    Code.NOT_FOUND,
  );
}

function sees(operator: AuthenticatedOperator, { requester }: ApprovalRequest): boolean {
  return contains(operator, { org_id: requester.org_id ?? "", team_id: requester.team_id ?? "" });
}

function bookOf({ book }: ApprovalQueue): ApprovalBook {
  if ("ok" in book) throw new GrpcError(book.message, Code.UNAVAILABLE);
  return book;
}

const CODES: Readonly<Record<QueueRefusal, Code>> = {
  self_approval: Code.PERMISSION_DENIED,
  lineage: Code.PERMISSION_DENIED,
  owner: Code.PERMISSION_DENIED,
  other_tenant: Code.PERMISSION_DENIED,
  agents_excluded: Code.PERMISSION_DENIED,
  wrong_role: Code.PERMISSION_DENIED,
  not_found: Code.NOT_FOUND,
  already_decided: Code.ABORTED,
  duplicate_vote: Code.ABORTED,
  used_up: Code.ABORTED,
  not_approved: Code.ABORTED,
  expired: Code.FAILED_PRECONDITION,
  digest_mismatch: Code.FAILED_PRECONDITION,
  invalid: Code.INVALID_ARGUMENT,
  full: Code.RESOURCE_EXHAUSTED,
  agent_full: Code.RESOURCE_EXHAUSTED,
  busy: Code.UNAVAILABLE,
  damaged: Code.UNAVAILABLE,
  unavailable: Code.UNAVAILABLE,
};

function answered(on: ApprovalAdminDependencies, changed: Changed) {
  if (changed.ok) {
    return create(DecideApprovalResponseSchema, { approval: approvalMessage(changed.request) });
  }
  on.counters.add(`approval_answers_refused.${changed.code}`);
  throw new GrpcError(changed.message, CODES[changed.code]);
}
