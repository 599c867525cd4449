/**
 * Rulings by other parts than policy: who refused or holds the call, in which words, and what would
 * help.
 *
 * @module
 */
import type { Decision, RuleRef } from "../../core/verdict.ts";
import type { AnomalyVerdict, ApprovalOutcome, Reserve } from "./parts.ts";
import { ANOMALY_RULE, APPROVAL_RULE, refused, type Ruling } from "./ruling.ts";
import { afterAnomaly, afterApproval, afterBudget, type Because } from "./ruling_explanation.ts";

/** The contract's words for a call that the detectors block (§9); nothing when they do not. */
export function blocked(decision: Decision, anomaly: AnomalyVerdict): Ruling | undefined {
  const { response, detector, reason: seen } = anomaly;
  if (response !== "throttle" && response !== "quarantine") return undefined;
  const reason = `anomaly detected (${detector}): ${seen} — blocked by anomaly responder`;
  const because: Because = {
    stage: "anomaly",
    detail: `${detector}: ${seen}`,
    changes: afterAnomaly(response),
  };
  const suspend = response === "quarantine";
  return refused(decision, reason, ANOMALY_RULE, { suspend, anomaly, because });
}

/** The ledger has no room for the call. */
export function unaffordable(
  decision: Decision,
  denial: Extract<Reserve, { outcome: "denied" }>,
  more: Partial<Ruling>,
): Ruling {
  const { reason, rule, policy_doc_id, suspend, detail } = denial;
  const ruled: Decision = {
    ...decision,
    outcome: "deny",
    stage: "budget",
    reason,
    ...(rule && { rule }),
    ...(policy_doc_id !== undefined && { policy_doc_id }),
    deny_action: suspend ? "suspend_agent" : "none",
  };
  const because: Because = {
    stage: "budget",
    detail,
    ...(rule && { rule }),
    changes: afterBudget(rule),
  };
  return refused(ruled, reason, reason, { ...more, suspend, because });
}

/** Every bucket had a token when policy looked, and one could not be kept. */
export function rateLimited(decision: Decision, more: Partial<Ruling>): Ruling {
  const reason = "rate limit exceeded";
  const because: Because = {
    stage: "rate_limit",
    detail: "no room to count another bucket",
    changes: [{ text: "ask again later", who: "agent" }],
  };
  return refused(decision, reason, reason, { ...more, because });
}

/** The call waits for a person. */
export function waits(decision: Decision, more: Partial<Ruling>): Ruling {
  const reason = "waiting for approval";
  const detail = "a person must agree to exactly this call, under this policy and at this price";
  const because = byApproval(decision.rule, detail, "waiting");
  return { ...refused(decision, reason, APPROVAL_RULE, { ...more, because }), outcome: "pending" };
}

/** No queue is attached: the reference panics here, we deny by name (contract §13.1 #14). */
export function unapprovable(decision: Decision): Ruling {
  const reason = "approval unavailable";
  const because = byApproval(decision.rule, "no approval queue is attached", "absent");
  return refused(decision, reason, APPROVAL_RULE, { because });
}

/** Nobody's word carries this call, for a reason. */
export function unapproved(decision: Decision, reason: string, more: Partial<Ruling>): Ruling {
  const because = byApproval(decision.rule, reason, "refused");
  return refused(decision, reason, APPROVAL_RULE, { ...more, because });
}

/** What becomes of a call that got no grant. */
export function withoutGrant(
  decision: Decision,
  outcome: Exclude<ApprovalOutcome, { outcome: "granted" }>,
  more: Partial<Ruling>,
): Ruling {
  const { request_id } = outcome;
  if (outcome.outcome === "pending") {
    const { resume_token } = outcome;
    return waits(decision, { ...more, approval: { request_id, resume_token } });
  }
  const approval = request_id === "" ? {} : { approval: { request_id } };
  return unapproved(decision, outcome.reason, { ...more, ...approval });
}

function byApproval(
  rule: RuleRef | undefined,
  detail: string,
  kind: Parameters<typeof afterApproval>[0],
): Because {
  return { stage: "approval", detail, ...(rule && { rule }), changes: afterApproval(kind) };
}
