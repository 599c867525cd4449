/**
 * Pages of requests, newest first (contract `policy-and-gateway` §8.5).
 *
 * @module
 */
import type { ApprovalRequest, ApprovalStatus } from "../../core/approval/mod.ts";
import type { ApprovalBook } from "./book.ts";
import { QUEUE_LIMITS } from "./limits.ts";

/** Which requests, and which page of them. */
export interface ListQuery {
  /** Word of {@linkcode STATUS_WORDS}, any case; empty means pending; an unknown one finds nothing. */
  readonly status: string;
  /** Exact agent id; empty means every agent. */
  readonly agent: string;
  /** From 1; 0 means 1. */
  readonly page: number;
  /** 0 means the default; more than the bound means the bound. */
  readonly per_page: number;
  /** Whether the caller may see a request at all. */
  readonly visible: (request: ApprovalRequest) => boolean;
}

/** One page. */
export interface ListPage {
  readonly requests: readonly ApprovalRequest[];
  readonly page: number;
  readonly per_page: number;
  readonly total: number;
}

/**
 * What each filter word means. The reference has the first three; a grant stays approved for it when
 * it has been used, and whatever else ended without a yes was not approved.
 */
const STATUS_WORDS: Readonly<Record<string, readonly ApprovalStatus[]>> = {
  pending: ["pending"],
  approved: ["approved", "spent"],
  rejected: ["rejected", "expired", "revoked"],
  spent: ["spent"],
  expired: ["expired"],
  revoked: ["revoked"],
  all: ["pending", "approved", "spent", "rejected", "expired", "revoked"],
};

/** One page of the requests that a query means. */
export function listRequests(book: ApprovalBook, query: ListQuery): ListPage {
  const word = query.status === "" ? "pending" : query.status.toLowerCase();
  const wanted = Object.hasOwn(STATUS_WORDS, word) ? STATUS_WORDS[word] ?? [] : [];
  const page = Math.max(1, query.page);
  const per_page = query.per_page === 0
    ? QUEUE_LIMITS.page_default_requests
    : Math.min(query.per_page, QUEUE_LIMITS.page_requests);
  const found = [...book.liveRequests(), ...book.endedRequests()].filter((request) =>
    wanted.includes(request.state.status) &&
    (query.agent === "" || request.requester.agent_id === query.agent) && query.visible(request)
  ).toSorted((a, b) => b.submitted_at_ms - a.submitted_at_ms);
  const from = (page - 1) * per_page;
  return { requests: found.slice(from, from + per_page), page, per_page, total: found.length };
}
