/**
 * What a decision may need beside policy: the ledger, the approval queue, the anomaly detectors and
 * whoever watches. The engine knows only these shapes; each part lives in a room of its own.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import type { CanonicalObject } from "../../core/approval/canonical_json.ts";
import type { DeclaredMost } from "../../core/ledger/call_price.ts";
import type { Cascade } from "../../core/policy/cascade.ts";
import type { CompiledDocument } from "../../core/policy/compiled_document.ts";
import type { Spend } from "../../core/policy/budget.ts";
import type { Principal } from "../../core/principal.ts";
import type { Decision, RuleRef } from "../../core/verdict.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";

/** What a call says beside its request message: metadata and how long the caller waits. */
export interface CallTerms {
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
  /**
   * `wait` (the reference's clients): the call blocks until a person decides. `defer` (metadata
   * `aasm-approval: defer`): PENDING with a resume token at once.
   */
  readonly approval: "wait" | "defer";
  /** Metadata `aasm-resume`: the token of an earlier PENDING answer. */
  readonly resume_token?: string;
  /**
   * Metadata `aasm-settle: 1`: the caller will settle or release the reservation itself. Without it
   * the worst case is spent as soon as the call is allowed.
   */
  readonly settles: boolean;
  /** Metadata `aasm-max-output-tokens`, `aasm-max-wall-ms`: what the call takes at most. */
  readonly declared?: DeclaredMost;
}

/** The terms of a caller that says nothing. */
export const PLAIN_TERMS: CallTerms = Object.freeze({
  signal: new AbortController().signal,
  approval: "wait",
  settles: false,
});

/** Who asks for what, once identity is settled. */
export interface Asked {
  readonly principal: Principal;
  /** Absent when the agent is not registered. */
  readonly record: AgentRecord | undefined;
  readonly action: Action;
  /** Server clock, milliseconds since the Unix epoch. */
  readonly now_ms: number;
  readonly trace_id: string;
}

/** What a call would cost, and whether there is room for it. */
export interface ReserveAsk extends Asked {
  /** Documents of the agent's cascade that have a `budget` section, widest first. */
  readonly budgets: readonly CompiledDocument[];
  readonly settles: boolean;
  /** What the caller says its call takes at most; it may raise what is reserved. */
  readonly declared?: DeclaredMost;
}

/** What became of a reservation. */
export type Reserve =
  /** The call costs nothing that anybody counts. */
  | { readonly outcome: "free" }
  | {
    readonly outcome: "reserved";
    /** UUID; goes to the caller in the trailer `aasm-reservation`. */
    readonly reservation_id: string;
    readonly micro_usd: number;
    /** Resolves once the reservation is on disk: the answer waits for it. */
    readonly durable: Promise<void>;
    /** Gives everything back: the answer never left, or became a denial. */
    readonly release: () => void;
  }
  | {
    readonly outcome: "denied";
    /** Exact contract text, e.g. `daily budget exceeded`. */
    readonly reason: string;
    readonly rule?: RuleRef;
    readonly policy_doc_id?: string;
    /** The document says `action_on_exceed: suspend`. */
    readonly suspend: boolean;
    /** Where the scope stands, for people: spent, reserved, limit, when the window ends. */
    readonly detail: string;
  };

/** The ledger, as the engine needs it. Everything is decided in memory at once, then made durable. */
export interface LedgerPart {
  /** What is spent and reserved in the running windows of whom a principal counts for. */
  spend(principal: Principal, now_ms: number): Spend;
  /**
   * What a call costs in micro-dollars; 0 for what has no price.
   *
   * @param budgets Documents that may state the price of a tool. @default none
   */
  price(action: Action, budgets?: readonly CompiledDocument[]): number;
  /** Reserves the worst case against every limit together, or nothing. */
  reserve(ask: ReserveAsk): Reserve;
  /**
   * Spends the worst case of a call that goes through whatever the limits say: its agent is only
   * observed. Denied only when nothing can be counted.
   */
  note(ask: ReserveAsk): Reserve;
  /** What {@linkcode reserve} would answer, without reserving. */
  preview(ask: ReserveAsk): Reserve;
}

/** One call that needs a person's word. */
export interface ApprovalAsk extends Asked {
  /**
   * The action with every field as the caller sent it, bytes for bytes: what the word is bound to
   * (`proto/approval_subject.ts`). `action` says less: it joins a command's words, and drops hints.
   */
  readonly exact: CanonicalObject;
  /** Number of the wire's `ActionType`. */
  readonly action_type: number;
  /** The decision that asks for approval. */
  readonly decision: Decision;
  /** Digests of every document that took part, in cascade order. */
  readonly policy_digests: readonly string[];
  readonly micro_usd: number;
  /** Who or what asks: a policy's condition, or the anomaly detectors. */
  readonly asked_by: "policy" | "anomaly";
  /** What the detectors saw, for the approver; absent when a policy asks. */
  readonly why?: string;
  readonly terms: CallTerms;
}

/** What became of a call that needs a person's word. */
export type ApprovalOutcome =
  /**
   * A person said yes to exactly these bytes. The grant is taken by {@linkcode spend}, once; when
   * another call was faster it answers false, and the call is refused.
   */
  | {
    readonly outcome: "granted";
    readonly request_id: string;
    readonly spend: () => Promise<boolean>;
  }
  | { readonly outcome: "rejected"; readonly request_id: string; readonly reason: string }
  /** `reason` is the contract's `approval timed out`. */
  | { readonly outcome: "timed_out"; readonly request_id: string; readonly reason: string }
  | {
    readonly outcome: "pending";
    readonly request_id: string;
    /** Goes to the caller in the trailer `aasm-resume`; presented with the same call later. */
    readonly resume_token: string;
    readonly expires_at_ms: number;
  }
  /** No request could be made or the resume token does not fit: why, and the next step. */
  | { readonly outcome: "refused"; readonly request_id: string; readonly reason: string };

/** The approval queue, as the engine needs it. */
export interface ApprovalsPart {
  /** Finds or files the request for exactly this call, and waits as the terms say. */
  ask(ask: ApprovalAsk): Promise<ApprovalOutcome>;
}

/** What the detectors say about a call that policy would let through. */
export interface AnomalyVerdict {
  /**
   * `alert`: nothing changes for the caller. `require_approval`: a person must agree.
   * `throttle`: this call is denied, later ones may pass. `quarantine`: denied, and the agent is
   * suspended.
   */
  readonly response: "alert" | "require_approval" | "throttle" | "quarantine";
  /** Name of the detector, e.g. `behavior_spike`. */
  readonly detector: string;
  /** What was seen against what is usual, with both numbers. */
  readonly reason: string;
}

/** What the detectors look at. */
export interface AnomalySighting extends Asked {
  readonly decision: Decision;
  readonly micro_usd: number;
  /** The merged documents that governed the action; absent when none did. */
  readonly cascade: Cascade | undefined;
}

/** The anomaly detectors, as the engine needs them. */
export interface AnomaliesPart {
  /**
   * Learns from a decided call and says whether it is unusual. Called once for every real decision,
   * denials included; a verdict changes only what policy would allow.
   */
  observe(sighting: AnomalySighting): AnomalyVerdict | undefined;
  /**
   * Is told of a call that the identity circuit refused: somebody claims to be another agent.
   *
   * @param claimed_agent_id As claimed; hostile text.
   */
  spoofed?(claimed_agent_id: string, reason: string, now_ms: number): void;
}

/** One answered call, for those who record or count. */
export interface Answered extends Asked {
  /** The policy decision, before approval, ledger and mode. */
  readonly decision: Decision;
  /** Number of `assembly.common.v1.Decision` on the wire. */
  readonly wire_decision: 1 | 2 | 3 | 4;
  readonly reason: string;
  readonly micro_usd: number;
  /** Absent when no person was asked. */
  readonly approval_request_id?: string;
  readonly shadowed: boolean;
}

/** Is told of every real answer before it leaves; what it returns is awaited with the evidence. */
export type AnswerObserver = (answered: Answered) => Promise<void> | undefined;

/** What operators order while agents run, as the engine needs it. */
export interface OperationsPart {
  /**
   * Why an operator's order forbids this call now, e.g. `agent paused by an operator`; `undefined`
   * when none does. Changes nothing; no mode softens it. Asked before policy, and again after every
   * wait (a person's approval), since orders come at any time.
   */
  denial(principal: Principal, trace_id: string, span_id: string): string | undefined;
  /** Is told of every real answer: how the list of running operations comes about. */
  answered(
    principal: Principal,
    trace_id: string,
    span_id: string,
    wire_decision: 1 | 2 | 3 | 4,
  ): void;
}

/** The parts of one engine. An absent part is a named absence, never an allow. */
export interface EngineParts {
  readonly ledger?: LedgerPart;
  readonly approvals?: ApprovalsPart;
  readonly anomalies?: AnomaliesPart;
  readonly operations?: OperationsPart;
  readonly observers?: readonly AnswerObserver[];
}
