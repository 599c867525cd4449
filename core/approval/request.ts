/**
 * One request for a person's word, and what can become of it (contract `policy-and-gateway` §8.2).
 *
 * ```
 * pending ──quorum of yes──▶ approved ──last use──▶ spent
 *    │ one no ▶ rejected        │ time ▶ expired
 *    │ time   ▶ expired         └ taken back ▶ revoked
 *    └ taken back ▶ revoked
 * ```
 *
 * Functions take a request and give the next one; nothing is changed in place, and a refusal changes
 * nothing at all.
 *
 * @module
 */
import { parseRole, ranksAtLeast } from "../iam/role.ts";
import {
  type Approver,
  approverId,
  mayDecide,
  type NotPermitted,
  type Requester,
  type Target,
  targetText,
} from "./approver.ts";
import { type CallDigest, type CallPart, differingParts } from "./bound_call.ts";
import { type GrantTerms, readConditions, strictest } from "./condition.ts";
import { APPROVAL_LIMITS } from "./limits.ts";
import type { Route } from "./routing.ts";

/** The contract's word for why a request exists. */
export const CONDITION_TRIGGERED = "requires_approval";
/** The contract's reason of a request that nobody answered. */
export const TIMED_OUT = "approval timed out";

/** Where a request stands. */
export type ApprovalState =
  | { readonly status: "pending" }
  | {
    readonly status: "approved";
    readonly decided_at_ms: number;
    readonly terms: GrantTerms;
    /** Below `terms.max_uses`. */
    readonly uses: number;
  }
  | {
    readonly status: "spent";
    readonly ended_at_ms: number;
    readonly decided_at_ms: number;
    readonly terms: GrantTerms;
    readonly uses: number;
  }
  | { readonly status: "rejected"; readonly ended_at_ms: number; readonly reason: string }
  | {
    readonly status: "expired";
    readonly ended_at_ms: number;
    /** Nobody answered, or the grant was not used in time. */
    readonly while: "pending" | "approved";
  }
  | { readonly status: "revoked"; readonly ended_at_ms: number; readonly reason: string };

/** Status words, in the order of life. */
export const APPROVAL_STATUSES = [
  "pending",
  "approved",
  "spent",
  "rejected",
  "expired",
  "revoked",
] as const;

/** One status word. */
export type ApprovalStatus = (typeof APPROVAL_STATUSES)[number];

/** One approver's answer. */
export interface Vote {
  /** {@linkcode approverId}. */
  readonly by: string;
  readonly verdict: "approve" | "reject";
  readonly at_ms: number;
  readonly reason: string;
  /** Present with a yes. */
  readonly terms?: GrantTerms;
}

/** One step of a request's way through people. */
export interface RoutingStep {
  readonly action: "routed" | "escalated" | "forwarded";
  readonly at_ms: number;
  readonly to: string;
  /** Who did it; absent when the gateway did. */
  readonly by?: string;
}

/** Where a policy rule stands. */
export interface RulePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly policy_doc_id: string;
}

/** One request. Holds no argument, result, prompt or credential: only their digest. */
export interface ApprovalRequest {
  /** UUID v4, lower case. */
  readonly request_id: string;
  readonly call: CallDigest;
  readonly requester: Requester;
  readonly action_kind: string;
  /** Number of the wire's `ActionType`, for the contract's text `action_type=N`. */
  readonly action_type: number;
  /** Tool, path, host or program: scanned, never a payload. */
  readonly resource: string;
  readonly policy_digests: readonly string[];
  readonly rule?: RulePlace;
  readonly micro_usd: number;
  readonly asked_by: "policy" | "anomaly";
  /** What the detectors said, or empty. */
  readonly why: string;
  readonly submitted_at_ms: number;
  /** Nobody may say yes from then on. */
  readonly expires_at_ms: number;
  readonly routing_status: string;
  readonly targets: readonly Target[];
  readonly quorum: number;
  readonly agents_may_decide: boolean;
  readonly owner_may_decide: boolean;
  /** Absent once it has happened. */
  readonly escalation?: { readonly at_ms: number; readonly to: Target };
  readonly steps: readonly RoutingStep[];
  readonly votes: readonly Vote[];
  /** SHA-256 of the resume tokens given out, 64 hex each; the newest last. */
  readonly resume_hashes: readonly string[];
  readonly state: ApprovalState;
}

/** What a new request is made of. */
export interface NewRequest extends
  Pick<
    ApprovalRequest,
    | "request_id"
    | "call"
    | "requester"
    | "action_kind"
    | "action_type"
    | "resource"
    | "policy_digests"
    | "micro_usd"
    | "asked_by"
    | "why"
  > {
  readonly rule?: RulePlace;
  readonly now_ms: number;
  readonly timeout_ms: number;
  readonly route: Route;
}

/** Files a request. */
export function openRequest(given: NewRequest): ApprovalRequest {
  const { now_ms, timeout_ms, route, rule, ...facts } = given;
  const to = route.targets.map(targetText).join(", ");
  return {
    ...facts,
    ...(rule === undefined ? {} : { rule }),
    submitted_at_ms: now_ms,
    expires_at_ms: now_ms + Math.min(Math.max(1, timeout_ms), APPROVAL_LIMITS.timeout_ms),
    routing_status: route.status,
    targets: route.targets,
    quorum: route.quorum,
    agents_may_decide: route.agents_may_decide,
    owner_may_decide: route.owner_may_decide,
    ...(route.escalation === undefined
      ? {}
      : { escalation: { at_ms: now_ms + route.escalation.after_ms, to: route.escalation.to } }),
    steps: [{ action: "routed", at_ms: now_ms, to }],
    votes: [],
    resume_hashes: [],
    state: { status: "pending" },
  };
}

/** Why nothing was changed. */
export type RefusalCode =
  | NotPermitted
  | "already_decided"
  | "expired"
  | "invalid"
  | "duplicate_vote"
  | "digest_mismatch"
  | "used_up"
  | "not_approved";

/** The next request, or why there is none. */
export type Transition =
  | { readonly ok: true; readonly request: ApprovalRequest }
  | { readonly ok: false; readonly code: RefusalCode; readonly message: string };

/** One answer of one approver. */
export interface Answer {
  readonly verdict: "approve" | "reject";
  readonly reason: string;
  readonly conditions: readonly string[];
  /**
   * The digest the approver saw. Absent only on the reference's surface, which has no field for it.
   */
  readonly expected_digest?: string;
}

/** Takes an approver's answer: one no rejects, a quorum of yes approves. */
export function answerRequest(
  request: ApprovalRequest,
  approver: Approver,
  answer: Answer,
  now_ms: number,
): Transition {
  const closed = notPending(request, now_ms);
  if (closed !== undefined) return closed;
  const permission = mayDecide(request, approver);
  if (!permission.ok) return permission;
  const by = approverId(approver);
  if (request.votes.some((vote) => vote.by === by)) {
    return refuse("duplicate_vote", `\`${by}\` has answered: another approver must`);
  }
  const expected = answer.expected_digest;
  if (expected !== undefined && expected !== request.call.digest) {
    return refuse("digest_mismatch", "the digest is not that of this request: look at it again");
  }
  const reason = answer.reason.trim().slice(0, APPROVAL_LIMITS.reason_chars);
  if (answer.verdict === "reject") {
    if (reason === "") return refuse("invalid", "reason: is missing: say why it is rejected");
    const votes = [...request.votes, { by, verdict: answer.verdict, at_ms: now_ms, reason }];
    return next({ ...request, votes, state: { status: "rejected", ended_at_ms: now_ms, reason } });
  }
  const read = readConditions(answer.conditions, now_ms);
  if (!read.ok) return refuse("invalid", read.message);
  const { terms } = read;
  const votes = [...request.votes, { by, verdict: answer.verdict, at_ms: now_ms, reason, terms }];
  if (votes.length < request.quorum) return next({ ...request, votes });
  const agreed = strictest(votes.flatMap((vote) => vote.terms ?? []), now_ms);
  if (agreed.valid_until_ms <= now_ms) {
    return refuse("invalid", "conditions: the time an earlier approver named has passed");
  }
  const state: ApprovalState = {
    status: "approved",
    decided_at_ms: now_ms,
    terms: agreed,
    uses: 0,
  };
  return next({ ...request, votes, state });
}

/** Hands a request to somebody else: only they decide it from now on. */
export function forwardRequest(
  request: ApprovalRequest,
  approver: Approver,
  to: string,
  now_ms: number,
): Transition {
  const closed = notPending(request, now_ms);
  if (closed !== undefined) return closed;
  const name = to.trim();
  if (name === "" || name.length > APPROVAL_LIMITS.name_chars) {
    const limit = APPROVAL_LIMITS.name_chars;
    return refuse("invalid", `to: expected a name or a role of at most ${limit} characters`);
  }
  const permission = mayDecide(request, approver);
  if (!permission.ok && !mayRedirect(permission.code, approver, name)) return permission;
  const forwards = request.steps.filter((step) => step.action === "forwarded").length;
  if (forwards >= APPROVAL_LIMITS.forwards) {
    return refuse("invalid", `to: the request was forwarded ${forwards} times: decide it`);
  }
  const role = parseRole(name);
  // A lower role would lower the bar; its word is taken as somebody's name.
  const target: Target = role !== undefined && ranksAtLeast(role, "team_admin")
    ? { kind: "role", role: name }
    : { kind: "named", names: [name] };
  return next({
    ...request,
    targets: [target],
    routing_status: `forwarded_to_${name}`,
    steps: [...request.steps, {
      action: "forwarded",
      at_ms: now_ms,
      to: name,
      by: approverId(approver),
    }],
  });
}

/**
 * An admin of the organisation may hand a stranded request to somebody else, though not decide it:
 * so it may not go to the admin's own name, nor to a role the admin has.
 */
function mayRedirect(refused: NotPermitted, approver: Approver, to: string): boolean {
  return refused === "wrong_role" && approver.kind === "operator" &&
    ranksAtLeast(approver.role, "org_admin") && to !== approver.name &&
    parseRole(to) === undefined;
}

/** What time alone does to a request; `undefined` when nothing is due. */
export function advance(
  request: ApprovalRequest,
  now_ms: number,
): { readonly what: "escalated" | "expired"; readonly request: ApprovalRequest } | undefined {
  if (dueAt(request) > now_ms) return undefined;
  const { state, escalation } = request;
  if (state.status === "pending" && now_ms < request.expires_at_ms && escalation !== undefined) {
    const { escalation: _done, ...rest } = request;
    const to = targetText(escalation.to);
    return {
      what: "escalated",
      request: {
        ...rest,
        // Whoever was asked first may still answer.
        targets: [...request.targets, escalation.to],
        routing_status: `escalated:${to}`,
        steps: [...request.steps, { action: "escalated", at_ms: now_ms, to }],
      },
    };
  }
  if (state.status !== "pending" && state.status !== "approved") return undefined;
  const ended: ApprovalState = { status: "expired", ended_at_ms: now_ms, while: state.status };
  return { what: "expired", request: { ...request, state: ended } };
}

/** When time next changes a request; infinity when never. */
export function dueAt(request: ApprovalRequest): number {
  switch (request.state.status) {
    case "pending":
      return Math.min(request.expires_at_ms, request.escalation?.at_ms ?? Infinity);
    case "approved":
      return request.state.terms.valid_until_ms;
    default:
      return Infinity;
  }
}

/** Uses the grant for one call, if it is the call that was approved. */
export function spendGrant(
  request: ApprovalRequest,
  call: CallDigest,
  now_ms: number,
): Transition {
  const fits = fitsGrant(request, call, now_ms);
  if (fits !== undefined) return fits;
  const { state } = request;
  if (state.status !== "approved") return refuse("not_approved", "nobody has approved it");
  const uses = state.uses + 1;
  if (uses < state.terms.max_uses) return next({ ...request, state: { ...state, uses } });
  const { decided_at_ms, terms } = state;
  return next({
    ...request,
    state: { status: "spent", ended_at_ms: now_ms, decided_at_ms, terms, uses },
  });
}

/** Why a call may not use the grant of a request; `undefined` when it may. */
export function fitsGrant(
  request: ApprovalRequest,
  call: CallDigest,
  now_ms: number,
): Extract<Transition, { ok: false }> | undefined {
  const { state } = request;
  const parts = differingParts(request.call, call);
  if (parts.length > 0 || request.call.digest !== call.digest) {
    return refuse("digest_mismatch", differenceText(parts));
  }
  switch (state.status) {
    case "spent":
      return refuse("used_up", "the approval has been used: ask again");
    case "expired":
      return refuse("expired", state.while === "pending" ? TIMED_OUT : "the approval has expired");
    case "revoked":
      return refuse("not_approved", `the approval was revoked: ${state.reason}`);
    case "rejected":
      return refuse("not_approved", state.reason);
    case "pending":
      return refuse("not_approved", "nobody has approved it yet");
    case "approved":
      return now_ms < state.terms.valid_until_ms
        ? undefined
        : refuse("expired", "the approval has expired");
  }
}

/** In which parts a call is not the approved one. */
export function differenceText(parts: readonly CallPart[]): string {
  return `the call is not the one that was approved: its ${
    parts.join(" and its ") || "form"
  } changed; ask again`;
}

/** Takes a request or an unused grant back. */
export function revokeRequest(
  request: ApprovalRequest,
  reason: string,
  now_ms: number,
): Transition {
  const { status } = request.state;
  if (status !== "pending" && status !== "approved") return already(request);
  const cut = reason.trim().slice(0, APPROVAL_LIMITS.reason_chars);
  if (cut === "") return refuse("invalid", "reason: is missing: say why it is revoked");
  return next({ ...request, state: { status: "revoked", ended_at_ms: now_ms, reason: cut } });
}

function notPending(
  request: ApprovalRequest,
  now_ms: number,
): Extract<Transition, { ok: false }> | undefined {
  if (request.state.status === "expired") return refuse("expired", TIMED_OUT);
  if (request.state.status !== "pending") return already(request);
  return now_ms < request.expires_at_ms ? undefined : refuse("expired", TIMED_OUT);
}

function already(request: ApprovalRequest): Extract<Transition, { ok: false }> {
  return refuse("already_decided", `already decided: the request is ${request.state.status}`);
}

function next(request: ApprovalRequest): Transition {
  return { ok: true, request };
}

function refuse(code: RefusalCode, message: string): Extract<Transition, { ok: false }> {
  return { ok: false, code, message };
}
