/**
 * What a person beside the agent may want to see while it runs.
 *
 * @module
 */
import type { GatewayUnavailableError, RulePlace } from "./errors.ts";
import type { Redaction } from "./redaction.ts";

/** One notice. It holds no arguments, paths or texts. */
export type Notice =
  /** An act waits for a person: `aasm approvals approve <approval_id>` decides it. */
  | {
    readonly type: "approval_pending";
    readonly act: string;
    /** Empty when the answer named none. */
    readonly approval_id: string;
    readonly reason: string;
    readonly rule?: RulePlace;
    /** How long the act waits, milliseconds. */
    readonly timeout_ms: number;
  }
  | {
    readonly type: "approval_decided";
    readonly act: string;
    readonly approval_id: string;
    readonly approved: boolean;
  }
  /** Secrets were cut out of an act before it happened, or out of an answer. */
  | {
    readonly type: "redacted";
    readonly act: string;
    readonly redactions: readonly Redaction[];
  }
  /** Nobody decided, and the act happened because an operator chose fail-open. */
  | {
    readonly type: "unanswered_allowed";
    readonly act: string;
    readonly error: GatewayUnavailableError;
  }
  /** The runtime reports a violation by this agent (frame `ViolationAlert`). */
  | {
    readonly type: "violation";
    readonly policy_rule: string;
    readonly blocked_action: string;
    readonly reason: string;
  }
  /** The gateway asks the agent to stop for now: it is suspended, and its acts are denied. */
  | { readonly type: "should_suspend" }
  /** Reported events that will never be taken; they are dropped, and this says so. */
  | { readonly type: "events_refused"; readonly events: number; readonly why: string }
  /** The way to the runtime was lost, or is back. */
  | { readonly type: "disconnected"; readonly why: string; readonly retry_in_ms: number }
  | { readonly type: "connected" };
