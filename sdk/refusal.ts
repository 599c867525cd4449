/**
 * A denial as the error that tells an agent what to do next.
 *
 * @module
 */
import { type Act, describeAct } from "./act.ts";
import type { CheckAnswer } from "./check_client.ts";
import {
  ApprovalDeniedError,
  ApprovalRequiredError,
  ApprovalTimeoutError,
  BudgetExceededError,
  CredentialLeakBlockedError,
  GatewayUnavailableError,
  OpTerminatedError,
  PolicyViolationError,
  RateLimitedError,
  type Refusal,
  shownText,
} from "./errors.ts";
import { SDK_LIMITS } from "./limits.ts";
import { withoutSecrets } from "./redaction.ts";

/** Rule label of a person's word (contract `wire` §1.3). */
const APPROVAL_RULE = "requires_approval";
const APPROVAL_TIMED_OUT = "approval timed out";
/** First word of a reason when an operator terminated the operation (contract `wire` §3.7). */
const OP_TERMINATED = "OpTerminatedError";

/** What a denial says, made safe to show. */
export function refusalOf(act: Act, answer: CheckAnswer, reason?: string): Refusal {
  const { response, reasons, audit_index } = answer;
  return {
    act: describeAct(act),
    reason: told(reason ?? (response.reason === "" ? "no reason given" : response.reason)),
    policy_rule: told(response.policyRule),
    ...(reasons?.rule === undefined
      ? {}
      : { rule: { path: shownText(reasons.rule.path), at: shownText(reasons.rule.at) } }),
    changes: (reasons?.changes ?? []).slice(0, SDK_LIMITS.changes_listed)
      .map(({ text, who }) => ({ text: told(text), who: shownText(who) })),
    ...(response.approvalId === "" ? {} : { approval_id: shownText(response.approvalId) }),
    ...(audit_index === undefined ? {} : { audit_index }),
  };
}

/** More than is shown is scanned, so that no secret is cut in two and then not known for one. */
function told(text: string): string {
  return shownText(withoutSecrets(text.slice(0, SDK_LIMITS.error_text_chars * 4)));
}

/** The error of a DENY answer. */
export function denialOf(act: Act, answer: CheckAnswer): PolicyViolationError {
  const { reason, policyRule, approvalId } = answer.response;
  const refusal = refusalOf(act, answer);
  if (reason.startsWith(OP_TERMINATED)) return new OpTerminatedError(refusal);
  if (policyRule === APPROVAL_RULE) {
    if (reason === APPROVAL_TIMED_OUT) return new ApprovalTimeoutError(refusal);
    return approvalId === ""
      ? new ApprovalRequiredError(refusal)
      : new ApprovalDeniedError(refusal);
  }
  const stage = answer.reasons?.stage;
  // Without a stage (the socket carries none) the contract's own words have to do.
  if (stage === "budget" || (stage === undefined && /\bbudget\b/i.test(reason))) {
    return new BudgetExceededError(refusal);
  }
  if (stage === "rate_limit" || reason === "rate limit exceeded") {
    return new RateLimitedError(refusal);
  }
  if (stage === "scan" || reason === "credential detected") {
    return new CredentialLeakBlockedError(refusal);
  }
  return new PolicyViolationError(refusal);
}

/** The error when there was no answer that could be understood. */
export function unansweredOf(act: Act, why: string, cause?: unknown): GatewayUnavailableError {
  return new GatewayUnavailableError(
    `${describeAct(act)} did not happen: ${shownText(why)}; no answer is never a yes, ` +
      "so see that the gateway or the runtime is up, then try again",
    cause,
  );
}
