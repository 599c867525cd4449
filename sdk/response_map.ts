/**
 * How an answer is read (contract `interception` §3, response table). One function, so that what
 * makes an act happen can be seen in one place.
 *
 * @module
 */
import { Decision } from "@agent-assembly/proto/common";

/** What an answer means for the act. Only `allow` and `redact` let it happen. */
export type Reading = "allow" | "redact" | "deny" | "pending" | "unanswered";

/**
 * Reads a decision number.
 *
 * | answer | fail-closed (default) | fail-open |
 * |---|---|---|
 * | ALLOW, REDACT, DENY | as is | as is |
 * | PENDING | waits; what nobody decides is a denial | the same |
 * | UNSPECIFIED, unknown, none | `unanswered`: a denial | `allow`, and it is told |
 *
 * @param decision Wire number, `undefined` when there was no answer.
 * @param fail_closed Whether no answer is a denial.
 */
export function readDecision(decision: number | undefined, fail_closed: boolean): Reading {
  switch (decision) {
    case Decision.ALLOW:
      return "allow";
    case Decision.REDACT:
      return "redact";
    case Decision.DENY:
      return "deny";
    case Decision.PENDING:
      return "pending";
    default:
      return fail_closed ? "unanswered" : "allow";
  }
}
