/**
 * Runs policy test cases on the one decision function.
 *
 * @module
 */
import type { PolicySet } from "../../core/policy/compile.ts";
import { decide, type Facts } from "../../core/policy/decide.ts";
import { explain } from "../../core/policy/explain.ts";
import { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { Decision, Explanation } from "../../core/verdict.ts";
import { nothingSpent } from "../local_facts.ts";
import type { PolicyTestCase, TestOutcome } from "./case.ts";

/** What became of one case. */
export type CaseResult =
  | { readonly passed: true; readonly test: PolicyTestCase }
  | {
    readonly passed: false;
    readonly test: PolicyTestCase;
    /** What differed, e.g. ["expected `deny`, got `allow`"]. */
    readonly differences: readonly string[];
    readonly explanation: Explanation;
  };

/** Runs one case. Cases share nothing: each starts with full rate allowances. */
export function runCase(test: PolicyTestCase, policy: PolicySet): CaseResult {
  const buckets = new RateBuckets();
  const facts: Facts = {
    now_ms: test.now_ms,
    principal: test.principal,
    rateTokens: (charge) => buckets.tokens(charge, test.now_ms),
    spend: nothingSpent(),
  };
  let decision = decide(policy, test.action, facts);
  for (let turn = 1; turn < test.repeat; turn++) {
    if (decision.outcome !== "deny") buckets.take(decision.charges ?? [], test.now_ms);
    decision = decide(policy, test.action, facts);
  }
  const differences = differencesOf(test, decision);
  if (differences.length === 0) return { passed: true, test };
  const explanation = explain(policy, test.action, facts, decision);
  return { passed: false, test, differences, explanation };
}

/** The outcome of a decision, redaction apart. */
export function outcomeOf(decision: Decision): TestOutcome {
  return decision.outcome === "allow" && decision.redacted !== undefined
    ? "redact"
    : decision.outcome;
}

function differencesOf(test: PolicyTestCase, decision: Decision): string[] {
  const differences: string[] = [];
  const compare = (what: string, expected: string | undefined, got: string) => {
    if (expected !== undefined && expected !== got) {
      differences.push(
        `expected ${what}\`${expected}\`, got ${got === "" ? "none" : `\`${got}\``}`,
      );
    }
  };
  compare("", test.expect, outcomeOf(decision));
  compare("rule ", test.rule, decision.rule?.path ?? "");
  compare("reason ", test.reason, decision.reason);
  return differences;
}
