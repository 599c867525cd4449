/** Money limits as a decision sees them; cases B1 to B6 of contract §14. */
import assert from "node:assert/strict";
import { llmCall } from "../action.ts";
import type { Spend } from "./budget.ts";
import { decide } from "./decide.ts";
import { ask, call, directory, facts } from "./policy_fixture.ts";

const MODEL_CALL = llmCall("gpt-4o", 1_000, false);

function spent(daily_usd: number, monthly_usd: number): { spend: Spend } {
  return {
    spend: {
      state: "known",
      agent_daily_micro_usd: daily_usd * 1_000_000,
      agent_monthly_micro_usd: monthly_usd * 1_000_000,
    },
  };
}

const UNAVAILABLE: { spend: Spend } = { spend: { state: "unavailable" } };
const BOTH = directory("budget: { daily_limit_usd: 1, monthly_limit_usd: 10 }");

Deno.test("B1: a daily limit that is spent denies", () => {
  assert.equal(ask(BOTH, call("x"), spent(1, 1)), "deny: daily budget exceeded");
  assert.equal(ask(BOTH, call("x"), spent(0.999_999, 1)), "allow");
});

Deno.test("B2: a monthly limit that is spent denies", () => {
  assert.equal(ask(BOTH, call("x"), spent(0, 10)), "deny: monthly budget exceeded");
});

Deno.test("B3: of two exceeded limits the month is named", () => {
  assert.equal(ask(BOTH, call("x"), spent(1, 10)), "deny: monthly budget exceeded");
});

Deno.test("B4: within the limits an action passes", () => {
  assert.equal(ask(BOTH, call("x"), spent(0.5, 5)), "allow");
});

Deno.test("B5: only the document whose limit was exceeded chooses to suspend", () => {
  const policy = directory(
    "budget: { daily_limit_usd: 5, action_on_exceed: suspend }",
    "scope: team:t1\nbudget: { daily_limit_usd: 1 }",
  );
  const deny = decide(policy, call("x"), facts(spent(2, 2)));
  assert.deepEqual([deny.outcome, deny.deny_action], ["deny", "none"]);
  const suspend = decide(policy, call("x"), facts(spent(6, 6)));
  assert.deepEqual([suspend.outcome, suspend.deny_action], ["deny", "suspend_agent"]);
});

Deno.test("B6: within the budget nobody is suspended", () => {
  const policy = directory(
    "{}",
    "scope: team:t1\nbudget: { daily_limit_usd: 5, action_on_exceed: suspend }",
  );
  const decision = decide(policy, call("x"), facts(spent(1, 1)));
  assert.deepEqual([decision.outcome, decision.deny_action], ["allow", "none"]);
});

Deno.test("without a ledger a limited model call is denied and other actions pass", () => {
  assert.equal(ask(BOTH, MODEL_CALL, UNAVAILABLE), "deny: budget ledger unavailable");
  assert.equal(ask(BOTH, call("x"), UNAVAILABLE), "allow");
  assert.equal(ask(directory("{}"), MODEL_CALL, UNAVAILABLE), "allow");
});

Deno.test("a model call under its own name is one even without the wire form", () => {
  assert.equal(ask(BOTH, call("llm_call"), UNAVAILABLE), "deny: budget ledger unavailable");
});

Deno.test("a figure that is no number counts as no figure", () => {
  assert.equal(ask(BOTH, MODEL_CALL, spent(NaN, 0)), "deny: budget ledger unavailable");
  assert.equal(ask(BOTH, MODEL_CALL, spent(0, NaN)), "deny: budget ledger unavailable");
});

Deno.test("an exceeded limit is named even when another limit has no figure", () => {
  const policy = directory("budget: { team_daily_limit_usd: 5, daily_limit_usd: 1 }");
  assert.equal(ask(policy, MODEL_CALL, spent(1, 1)), "deny: daily budget exceeded");
});
