/**
 * Looks again at what a runtime decided, with the policy it says it decided by. Arguments never
 * leave the runtime, so what depends on them (conditions, the scan of contents) is not looked at;
 * everything before them in the order of the stages is.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import { decide } from "../../core/policy/decide.ts";
import type { Principal } from "../../core/principal.ts";
import type { Stage } from "../../core/verdict.ts";

/** What came of looking again. */
export type Recheck =
  | "agrees"
  /** The runtime let through what this gateway would have denied. */
  | { readonly denied: string }
  /** Not looked at: the policy that it was decided by is no longer known here. */
  | "unknown_policy";

/** Stages that need nothing but what is on record. */
const CERTAIN: ReadonlySet<Stage> = new Set([
  "configuration",
  "status",
  "schedule",
  "network",
  "capability",
  "filesystem",
  "tool",
]);

/** What is known of a decision. */
export interface RecheckFacts {
  /** The set it was decided by; the one in force, when no policy decided. */
  readonly policy: PolicySet | undefined;
  /** Number of the wire's decision. */
  readonly decision: number;
  readonly action: Action;
  readonly principal: Principal;
  readonly decided_at_ms: number;
}

/** Decides again, spending nothing. */
export function recheck(facts: RecheckFacts): Recheck {
  const let_through = facts.decision === 1 || facts.decision === 4;
  if (!let_through) return "agrees";
  if (facts.policy === undefined) return "unknown_policy";
  const decision = decide(facts.policy, facts.action, {
    now_ms: facts.decided_at_ms,
    principal: facts.principal,
    rateTokens: () => Infinity,
    spend: {
      state: "known",
      agent_daily_micro_usd: 0,
      agent_monthly_micro_usd: 0,
      counted: () => 0,
    },
  });
  const denied = decision.outcome === "deny" && decision.stage !== undefined &&
    CERTAIN.has(decision.stage);
  return denied ? { denied: decision.reason } : "agrees";
}

/** In one word or sentence, for the entry. */
export function recheckText(outcome: Recheck): string {
  return typeof outcome === "string" ? outcome : `denied: ${outcome.denied}`;
}
