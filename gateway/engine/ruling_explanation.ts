/**
 * The explanation of a ruling: policy's own explanation, and where another part than policy decided,
 * that part's step, numbers and remedy in its place.
 *
 * @module
 */
import type {
  Change,
  Considered,
  ExplainedStage,
  Explanation,
  RuleRef,
} from "../../core/verdict.ts";

/** Why a part refused or held a call that policy would let through. */
export interface Because {
  readonly stage: ExplainedStage;
  /** What was found, with its numbers. */
  readonly detail: string;
  readonly rule?: RuleRef;
  /** What would make it an allow, in order of preference. */
  readonly changes: readonly Change[];
}

/**
 * Explains a refusal or a wait that policy did not decide.
 *
 * @param policy Policy's explanation of the same question.
 */
export function explainBecause(
  policy: Explanation,
  outcome: "deny" | "require_approval",
  reason: string,
  because: Because,
): Explanation {
  const { stage, detail, rule, changes } = because;
  const step: Considered = { stage, result: outcome, detail, ...(rule && { rule }) };
  // The part's word replaces a mere pass of the same stage; what a rule asked for stays.
  const passed = new Set(["pass", "not_applicable"]);
  const kept = policy.considered.filter((one) => one.stage !== stage || !passed.has(one.result));
  const considered = [...kept, step];
  const where = rule === undefined
    ? ""
    : ` by \`${rule.path}\` at ${rule.file}:${rule.line}:${rule.column}`;
  const word = outcome === "deny" ? "Denied" : "Held";
  const remedies = changes.map((change) => `${change.text} (${change.who})`).join("; or ");
  const remedy = remedies === ""
    ? "Nothing the agent can change allows it."
    : `To allow it: ${remedies}.`;
  return {
    outcome,
    reason,
    ...(rule && { rule }),
    summary: `${word}${where}: ${reason}${detail === reason ? "" : `: ${detail}`}. ${remedy}`,
    considered,
    changes,
  };
}

/** What helps against an exceeded limit. */
export function afterBudget(rule: RuleRef | undefined): readonly Change[] {
  const wait = { text: "wait until the window of the limit ends", who: "agent" };
  if (rule === undefined) return [wait];
  return [wait, { text: `raise \`${rule.path}\``, rule, who: "org_admin" }];
}

/** What helps when a person's word is missing. */
export function afterApproval(kind: "absent" | "waiting" | "refused"): readonly Change[] {
  switch (kind) {
    case "absent":
      return [{ text: "run a gateway with an approval queue", who: "operator" }];
    case "waiting":
      return [{ text: "approve the request with `aasm approvals approve`", who: "operator" }];
    case "refused":
      return [{ text: "send the same call again and have an approver agree to it", who: "agent" }];
  }
}

/** What helps against a detector's verdict. */
export function afterAnomaly(response: string): readonly Change[] {
  return response === "quarantine"
    ? [{ text: "look at the agent, then `aasm agent resume` it", who: "operator" }]
    : [{ text: "send the call again later, at the agent's usual pace", who: "agent" }];
}
