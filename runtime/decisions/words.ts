/**
 * The texts of answers given here (contracts `interception` §1.4, `wire` §3.7).
 *
 * @module
 */
import type { StandingOrder } from "./snapshot.ts";

/** Rule labels of answers that no policy gave. */
export const RULES = {
  operator: "operator_control",
  fail_closed: "fail_closed",
  unconfigured: "unconfigured",
  redaction: "data_pattern_scan",
  overload: "runtime_overloaded",
  evidence: "evidence_unavailable",
  distrusted: "gateway_distrusted",
  fault: "runtime_fault",
  approval: "requires_approval",
} as const;

/** A denial that an operator's termination is. */
export function terminatedText({ op_id }: StandingOrder): string {
  return `OpTerminatedError: ${subjectOf(op_id)} terminated by an operator`;
}

/** A denial of a query that would have had to wait for a pause to end. */
export function pausedText({ op_id }: StandingOrder, why: string): string {
  return `${subjectOf(op_id)} paused by an operator, and ${why}`;
}

function subjectOf(op_id: string): string {
  if (op_id === "*") return "all operations were";
  return op_id.startsWith("agent:") ? "this agent was" : "this operation was";
}

/** The gateway cannot be reached, and the posture is to deny. */
export const FAIL_CLOSED_TEXT =
  "gateway unreachable: denied by fail-closed policy; ask again when it is back";

/** Nobody says what is allowed (trap R11). */
export const UNCONFIGURED_TEXT =
  "runtime unconfigured: no gateway and no local policy; an operator must set AA_GATEWAY_ENDPOINT, " +
  "or write the file that AA_POLICY_PATH names";

/** Failing open needs rules: their absence is no permission. */
export const OPEN_WITHOUT_RULES_TEXT =
  "gateway unreachable, and there is no local policy to fail open to; an operator must write the " +
  "file that AA_POLICY_PATH names, an empty one allows everything";

/** A client that would act on the secret (trap R9). */
export const CANNOT_REDACT_TEXT =
  "sensitive data detected, and this client does not apply redactions: take it out and ask again";

/** No room. */
export const OVERLOADED_TEXT =
  "runtime overloaded: too many queries wait for the gateway; ask again";

/** The answer's evidence cannot be kept anywhere. */
export const NO_EVIDENCE_TEXT =
  "evidence cannot be recorded, here or at the gateway: an operator must free or mend the spool";

/** The gateway answered what no gateway answers. */
export const UNKNOWN_ANSWER_TEXT = "the gateway gave no verdict: denied";
