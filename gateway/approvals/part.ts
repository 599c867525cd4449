/**
 * The queue as the decision engine sees it: finds or files the request for exactly this call, and
 * waits for the answer or hands out a resume token (`ApprovalsPart`).
 *
 * A retried identical call joins the request that is pending, and an answer that nobody fetched
 * serves the next identical call. When a waiting caller goes away its request stays for its own
 * timeout: the next identical call finds it.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import {
  APPROVAL_LIMITS,
  type ApprovalKind,
  type ApprovalRequest,
  type CallDigest,
  CanonicalJsonError,
  differenceText,
  differingParts,
  digestCall,
  fitsGrant,
  routeFor,
  type RoutingRow,
  TIMED_OUT,
} from "../../core/approval/mod.ts";
import type { PolicyDocument } from "../../core/policy/document.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { clean, resourceOf } from "../engine/evidence.ts";
import type { ApprovalAsk, ApprovalOutcome, ApprovalsPart } from "../engine/parts.ts";
import { tokenHash } from "../identity/tokens.ts";
import { isLive } from "./book.ts";
import { QUEUE_LIMITS } from "./limits.ts";
import { type AgentByKey, boundAgent, requesterOf } from "./parties.ts";
import type { ApprovalQueue, Changed } from "./queue.ts";
import type { ShownTexts } from "./shown_texts.ts";

/** What the part needs beside the queue. */
export interface PartDependencies {
  readonly queue: ApprovalQueue;
  readonly texts: ShownTexts;
  readonly routing: readonly RoutingRow[];
  readonly agentByKey: AgentByKey;
  /** Operator who answers for an agent, when one is known. */
  readonly ownerOf: (agent: AgentRecord) => string | undefined;
  /** A document in force, by digest. */
  readonly documentOf: (digest: string) => PolicyDocument | undefined;
  /** UUIDs and resume tokens, from a CSPRNG. */
  readonly random: { readonly uuid: () => string; readonly token: () => string };
}

/** Start of every resume token, so that scanners can recognise a leaked one. */
export const RESUME_TOKEN_PREFIX = "aasm_resume_";

/** 256 random bits as text. */
export function newResumeToken(): string {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  return RESUME_TOKEN_PREFIX + secret.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Answers the engine. */
export class QueuedApprovals implements ApprovalsPart {
  readonly #on: PartDependencies;
  /** Requests being filed, by call: identical calls that come together make one. */
  readonly #filing = new Map<string, Promise<Changed>>();
  readonly #waiting = new Map<string, Set<(request: ApprovalRequest) => void>>();

  constructor(on: PartDependencies) {
    this.#on = on;
    on.queue.watchers.listen(({ request }) => this.#wake(request));
  }

  /** Calls that wait for a person now. */
  get waiting(): number {
    let calls = 0;
    for (const waiters of this.#waiting.values()) calls += waiters.size;
    return calls;
  }

  /** @inheritdoc */
  async ask(ask: ApprovalAsk): Promise<ApprovalOutcome> {
    const { principal, terms } = ask;
    if (principal.agent_id === "") {
      return refused("", "approval needs an agent id: nobody can answer for an unnamed agent");
    }
    let call: CallDigest;
    try {
      call = digestCall({
        agent: boundAgent(principal),
        action: ask.exact,
        policy_digests: ask.policy_digests,
        micro_usd: ask.micro_usd,
        asked_by: ask.asked_by,
      });
    } catch (error) {
      if (!(error instanceof CanonicalJsonError)) throw error;
      return refused("", `approval unavailable: the call cannot be bound: ${error.message}`);
    }
    const { resume_token } = terms;
    if (resume_token !== undefined) return await this.#resume(ask, call, resume_token);
    const found = await this.#requestFor(ask, call);
    if (!found.ok) return refused("", found.message);
    this.#show(ask, found.request);
    return await this.#outcome(ask, call, found.request);
  }

  /** The live request for this call, filed now if there is none. */
  async #requestFor(ask: ApprovalAsk, call: CallDigest): Promise<Changed> {
    const { queue } = this.#on;
    const { book } = queue;
    if ("ok" in book) return book;
    const known = book.ofCall(boundAgent(ask.principal).key, call.digest);
    // One whose time is over is ended by the next tick; a new request must not wait for that.
    if (known !== undefined && !isOver(known, queue.now_ms())) return { ok: true, request: known };
    if (known !== undefined) await queue.settle(known.request_id);
    const under_way = this.#filing.get(call.digest);
    if (under_way !== undefined) return await under_way;
    const filing = queue.file(this.#newRequest(ask, call));
    this.#filing.set(call.digest, filing);
    try {
      return await filing;
    } finally {
      this.#filing.delete(call.digest);
    }
  }

  #newRequest(ask: ApprovalAsk, call: CallDigest): Parameters<ApprovalQueue["file"]>[0] {
    const { decision, principal } = ask;
    const { agentByKey, ownerOf } = this.#on;
    const requester = requesterOf(principal, ask.record, agentByKey, ownerOf);
    const timeout_ms = (decision.approval_timeout_secs ?? DEFAULT_TIMEOUT_SECS) * 1000;
    const section = decision.policy_doc_id === undefined
      ? undefined
      : this.#on.documentOf(decision.policy_doc_id)?.approval;
    const { rule } = decision;
    return {
      request_id: this.#on.random.uuid(),
      call,
      requester,
      action_kind: ask.action.kind,
      action_type: ask.action_type,
      resource: clean(resourceOf(ask.action)),
      policy_digests: ask.policy_digests,
      ...(rule === undefined || ask.asked_by !== "policy" ? {} : { rule }),
      micro_usd: ask.micro_usd,
      asked_by: ask.asked_by,
      why: clean(ask.why ?? ""),
      timeout_ms: Math.min(timeout_ms, APPROVAL_LIMITS.timeout_ms),
      route: routeFor(this.#on.routing, {
        ...(requester.team_id === undefined ? {} : { team_id: requester.team_id }),
        kind: kindOf(ask.action, ask.asked_by),
        timeout_ms,
        policy: {
          ...(section?.timeout_seconds === undefined
            ? {}
            : { escalation_ms: section.timeout_seconds * 1000 }),
          ...(section?.escalation_role === undefined
            ? {}
            : { escalation_role: section.escalation_role }),
        },
      }),
    };
  }

  async #resume(ask: ApprovalAsk, call: CallDigest, token: string): Promise<ApprovalOutcome> {
    const { book } = this.#on.queue;
    if ("ok" in book) return refused("", book.message);
    const request = token.length > TOKEN_CHARS_MAX ? undefined : book.ofToken(tokenHash(token));
    if (request === undefined) {
      return refused("", "resume token is not known: call again without `aasm-resume`");
    }
    const { request_id } = request;
    const parts = differingParts(request.call, call);
    // Another agent learns nothing of the request, not even its id.
    if (parts.includes("agent")) return refused("", "resume token belongs to another agent");
    if (parts.length > 0) return refused(request_id, `resume refused: ${differenceText(parts)}`);
    this.#show(ask, request);
    return await this.#outcome(ask, call, request, token);
  }

  /** Holds the redacted text for approvers while the request lives. */
  #show(ask: ApprovalAsk, { request_id }: ApprovalRequest): void {
    const { queue: { book }, texts } = this.#on;
    const now = "ok" in book ? undefined : book.get(request_id);
    if (now !== undefined && isLive(now)) {
      texts.hold(request_id, ask.action, ask.decision.findings);
    }
  }

  /** What a request means for one call, after waiting if it is to. */
  async #outcome(
    ask: ApprovalAsk,
    call: CallDigest,
    request: ApprovalRequest,
    token?: string,
  ): Promise<ApprovalOutcome> {
    const { request_id, state } = request;
    switch (state.status) {
      case "pending":
        if (this.#on.queue.now_ms() >= request.expires_at_ms) return timedOut(request_id);
        return ask.terms.approval === "defer"
          ? await this.#defer(request, token)
          : await this.#wait(ask, call, request, token);
      case "approved": {
        const unfit = fitsGrant(request, call, this.#on.queue.now_ms());
        if (unfit !== undefined) return refused(request_id, unfit.message);
        return {
          outcome: "granted",
          request_id,
          spend: async () => (await this.#on.queue.spend(request_id, call)).ok,
        };
      }
      case "rejected":
        return { outcome: "rejected", request_id, reason: state.reason };
      case "expired":
        if (state.while === "pending") return timedOut(request_id);
        return refused(request_id, "the approval has expired: ask again");
      case "revoked":
        return refused(request_id, `the approval was revoked: ${state.reason}`);
      case "spent":
        return refused(request_id, "the approval has been used: ask again");
    }
  }

  async #defer(request: ApprovalRequest, token?: string): Promise<ApprovalOutcome> {
    const { request_id, expires_at_ms } = request;
    if (token !== undefined) {
      return { outcome: "pending", request_id, resume_token: token, expires_at_ms };
    }
    const resume_token = this.#on.random.token();
    const kept = await this.#on.queue.remember(request_id, tokenHash(resume_token));
    if (!kept.ok) return refused(request_id, kept.message);
    return { outcome: "pending", request_id, resume_token, expires_at_ms };
  }

  async #wait(
    ask: ApprovalAsk,
    call: CallDigest,
    request: ApprovalRequest,
    token?: string,
  ): Promise<ApprovalOutcome> {
    const { request_id } = request;
    const waiters = this.#waiting.get(request_id) ?? new Set();
    if (waiters.size >= QUEUE_LIMITS.waiting_calls_per_request) {
      const limit = QUEUE_LIMITS.waiting_calls_per_request;
      return refused(request_id, `${limit} identical calls wait for this approval already`);
    }
    this.#waiting.set(request_id, waiters);
    const { signal } = ask.terms;
    const { promise, resolve } = Promise.withResolvers<ApprovalRequest | undefined>();
    const leave = () => resolve(undefined);
    waiters.add(resolve);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    // What was decided between the look and the wait has no one left to wake.
    const { book } = this.#on.queue;
    const now = "ok" in book ? undefined : book.get(request_id);
    if (now !== undefined && now.state.status !== "pending") resolve(now);
    const after = await promise;
    signal.removeEventListener("abort", leave);
    waiters.delete(resolve);
    if (waiters.size === 0) this.#waiting.delete(request_id);
    if (after === undefined) {
      return refused(request_id, "the caller went away; the request waits for its timeout");
    }
    return await this.#outcome(ask, call, after, token);
  }

  /** Tells the waiting calls of a request that is no longer pending. */
  #wake(request: ApprovalRequest): void {
    if (request.state.status === "pending") return;
    for (const wake of this.#waiting.get(request.request_id) ?? []) wake(request);
    if (!isLive(request)) this.#on.texts.drop(request.request_id);
  }
}

/** Of a request whose document says nothing (contract `policy-and-gateway` §8.2). */
const DEFAULT_TIMEOUT_SECS = 300;
/** Longest resume token looked at; a longer one cannot be ours. */
const TOKEN_CHARS_MAX = 128;

function isOver(request: ApprovalRequest, now_ms: number): boolean {
  const { state } = request;
  return now_ms >=
    (state.status === "approved" ? state.terms.valid_until_ms : request.expires_at_ms);
}

function kindOf(action: Action, asked_by: "policy" | "anomaly"): ApprovalKind {
  return asked_by === "anomaly" || action.kind === "send_message" ? "custom" : "tool_use";
}

function timedOut(request_id: string): ApprovalOutcome {
  return { outcome: "timed_out", request_id, reason: TIMED_OUT };
}

function refused(request_id: string, reason: string): ApprovalOutcome {
  return { outcome: "refused", request_id, reason };
}
