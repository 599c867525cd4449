/**
 * What goes wrong, in types an agent can act on: which rule, where it stands, the smallest change
 * that would make it an allow, and whether asking again can help.
 *
 * @module
 */
import { SDK_LIMITS } from "./limits.ts";

/** Every code of {@linkcode AssemblyError}, stable for programs to switch on. */
export type ErrorCode =
  | "policy_violation"
  | "budget_exceeded"
  | "rate_limited"
  | "credential_leak_blocked"
  | "op_terminated"
  | "approval_required"
  | "approval_denied"
  | "approval_timeout"
  | "gateway_unavailable"
  | "registration_refused"
  | "identity_unavailable"
  | "configuration"
  | "invalid_act"
  | "event_spool_full"
  | "events_undelivered"
  | "overloaded"
  | "closed";

/** One edit or act that would turn a refusal into an allow. */
export interface SuggestedChange {
  /** Imperative sentence, e.g. "set `tools.bash.allow` to `true`". */
  readonly text: string;
  /** Role that may make it: `org_admin`, `team_admin`, `developer`, `operator`, `agent`. */
  readonly who: string;
}

/** A rule of a policy by place. */
export interface RulePlace {
  /** Dotted, e.g. `tools.deploy.allow`. */
  readonly path: string;
  /** `file:line:column`, as the gateway names its own file. */
  readonly at: string;
}

/**
 * What is known of a refused act, without its arguments and texts: errors end up in logs. A change
 * may name the path or host it is about; what the scanner finds in it is cut out.
 */
export interface Refusal {
  /** What was asked, without its contents, e.g. "tool `deploy`". */
  readonly act: string;
  /** The gateway's word for why. */
  readonly reason: string;
  /** The wire's rule label, e.g. `requires_approval`; may equal the reason. */
  readonly policy_rule: string;
  /** The deciding rule's place, when the answer named it. */
  readonly rule?: RulePlace;
  /** Smallest change first; empty when the answer named none. */
  readonly changes: readonly SuggestedChange[];
  /** Set when a person was asked. */
  readonly approval_id?: string;
  /** Index of the audit entry that records the refusal, when the answer carried it. */
  readonly audit_index?: bigint;
}

/** Options of every error here. */
export interface AssemblyErrorOptions {
  /** What happened. */
  readonly code: ErrorCode;
  /** Whether the same act may fare better later, with nobody changing a policy. */
  readonly retryable: boolean;
  /** What it follows from. */
  readonly cause?: unknown;
}

/** The one base class. `code` says what happened, `retryable` whether waiting can help. */
export class AssemblyError extends Error {
  /** The class's name. */
  override readonly name: string = "AssemblyError";
  /** Stable; a program may switch on it. */
  readonly code: ErrorCode;
  /** Whether the same act may fare better later, with nobody changing a policy. */
  readonly retryable: boolean;

  /** Says what went wrong. */
  constructor(message: string, { code, retryable, cause }: AssemblyErrorOptions) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
  }
}

/** The answer was no, or no person said yes: the act did not happen. */
export class PolicyViolationError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "PolicyViolationError";
  /** What was refused, why, and what would change it. */
  readonly refusal: Refusal;

  /** Says what went wrong. */
  constructor(refusal: Refusal, kind: Partial<AssemblyErrorOptions> = {}) {
    super(refusalText(refusal), { code: "policy_violation", retryable: false, ...kind });
    this.refusal = refusal;
  }
}

/** A budget has no room for the act. Waiting for its window, or a higher limit, helps. */
export class BudgetExceededError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "BudgetExceededError";
  /** Says what went wrong. */
  constructor(refusal: Refusal) {
    super(refusal, { code: "budget_exceeded" });
  }
}

/** Too many calls in the window of a rate limit: ask again later. */
export class RateLimitedError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "RateLimitedError";
  /** Says what went wrong. */
  constructor(refusal: Refusal) {
    super(refusal, { code: "rate_limited", retryable: true });
  }
}

/** A secret or personal data was in the act, and policy blocks it or it could not be cut out here. */
export class CredentialLeakBlockedError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "CredentialLeakBlockedError";
  /** Kinds of what was found, e.g. `GitHubPat`; never the text. */
  readonly kinds: readonly string[];
  /** Says what went wrong. */
  constructor(refusal: Refusal, kinds: readonly string[] = []) {
    super(refusal, { code: "credential_leak_blocked" });
    this.kinds = kinds;
  }
}

/** An operator terminated this operation, this agent, or the fleet. */
export class OpTerminatedError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "OpTerminatedError";
  /** Says what went wrong. */
  constructor(refusal: Refusal) {
    super(refusal, { code: "op_terminated" });
  }
}

/** A person must agree and nobody can be asked on this path. */
export class ApprovalRequiredError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "ApprovalRequiredError";
  /** Says what went wrong. */
  constructor(refusal: Refusal) {
    super(refusal, { code: "approval_required", retryable: true });
  }
}

/** A person said no. */
export class ApprovalDeniedError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "ApprovalDeniedError";
  /** Says what went wrong. */
  constructor(refusal: Refusal) {
    super(refusal, { code: "approval_denied" });
  }
}

/** Nobody decided in time. */
export class ApprovalTimeoutError extends PolicyViolationError {
  /** The class's name. */
  override readonly name: string = "ApprovalTimeoutError";
  /** Says what went wrong. */
  constructor(refusal: Refusal) {
    super(refusal, { code: "approval_timeout", retryable: true });
  }
}

/** Talking to the gateway or the runtime failed. */
export class GatewayError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "GatewayError";
}

/** There was no answer, so the act did not happen: no answer is never a yes. */
export class GatewayUnavailableError extends GatewayError {
  /** The class's name. */
  override readonly name: string = "GatewayUnavailableError";
  /** Says what went wrong. */
  constructor(message: string, cause?: unknown) {
    super(message, { code: "gateway_unavailable", retryable: true, cause });
  }
}

/** The gateway did not register this agent. */
export class RegistrationError extends GatewayError {
  /** The class's name. */
  override readonly name: string = "RegistrationError";
  /** Says what went wrong. */
  constructor(message: string, options: { readonly retryable: boolean; readonly cause?: unknown }) {
    super(message, { code: "registration_refused", ...options });
  }
}

/** The stored identity cannot be used: another owner, open to others, damaged, revoked. */
export class IdentityUnavailableError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "IdentityUnavailableError";
  /** Says what went wrong. */
  constructor(message: string, cause?: unknown) {
    super(message, { code: "identity_unavailable", retryable: false, cause });
  }
}

/** An option is missing or not understood; nothing was started. */
export class ConfigurationError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "ConfigurationError";
  /** Says what went wrong. */
  constructor(message: string, cause?: unknown) {
    super(message, { code: "configuration", retryable: false, cause });
  }
}

/** An act cannot be put as a question, so it cannot be asked about and does not happen. */
export class InvalidActError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "InvalidActError";
  /** Says what went wrong. */
  constructor(message: string, cause?: unknown) {
    super(message, { code: "invalid_act", retryable: false, cause });
  }
}

/** Events wait for the runtime and no more fit; the one that did not fit is not reported. */
export class EventSpoolFullError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "EventSpoolFullError";
  /** Says what went wrong. */
  constructor(message: string) {
    super(message, { code: "event_spool_full", retryable: true });
  }
}

/** The end came before every reported event was taken; they are lost, and this says so. */
export class EventsUndeliveredError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "EventsUndeliveredError";
  /** How many. */
  readonly events: number;
  /** Says what went wrong. */
  constructor(events: number) {
    super(
      `${events} reported event(s) were not taken in time and are lost: give \`shutdown\` more time, ` +
        "and see that the runtime is up",
      { code: "events_undelivered", retryable: false },
    );
    this.events = events;
  }
}

/** Too many acts wait for an answer already. */
export class OverloadedError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "OverloadedError";
  /** Says what went wrong. */
  constructor(message: string) {
    super(message, { code: "overloaded", retryable: true });
  }
}

/** The agent was shut down: nothing is asked, so nothing happens. */
export class ClosedError extends AssemblyError {
  /** The class's name. */
  override readonly name: string = "ClosedError";
  /** Says what went wrong. */
  constructor(message = "the agent was shut down: start another with `govern()`") {
    super(message, { code: "closed", retryable: false });
  }
}

function refusalText(refusal: Refusal): string {
  const { act, reason, rule, changes, approval_id } = refusal;
  const place = rule === undefined ? "" : ` (rule \`${rule.path}\` at ${rule.at})`;
  const asked = approval_id === undefined ? "" : ` (approval ${approval_id})`;
  const change = changes[0];
  const next = change === undefined ? "" : `; to allow it, ${change.text} (${change.who})`;
  return `${act} was refused: ${reason}${place}${asked}${next}`;
}

/** What a terminal or a log must not get from a peer: control and line-breaking characters. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/** A peer's text, made safe to show: bounded, and without control characters. */
export function shownText(text: string): string {
  const kept = text.slice(0, SDK_LIMITS.error_text_chars).replace(CONTROLS, " ").trim();
  return text.length > SDK_LIMITS.error_text_chars ? `${kept}…` : kept;
}
