/** Budget keys beyond the contract: the fleet's limits, named limits, prices of tools. */
import assert from "node:assert/strict";
import { llmCall } from "../action.ts";
import type { Spend } from "./budget.ts";
import { loadPolicy } from "./load.ts";
import { agent, ask, call, directory, load } from "./policy_fixture.ts";

const UNAVAILABLE: { spend: Spend } = { spend: { state: "unavailable" } };
const UNLEDGERED = "deny: budget ledger unavailable";

function problems(text: string): string[] {
  const loaded = loadPolicy("p.yaml", text, { reject_blank: false });
  return loaded.ok ? [] : loaded.problems.map(({ field, message }) => `${field}: ${message}`);
}

function withGlobal(daily_usd: number, monthly_usd: number): { spend: Spend } {
  return {
    spend: {
      state: "known",
      agent_daily_micro_usd: 0,
      agent_monthly_micro_usd: 0,
      global_daily_micro_usd: daily_usd * 1e6,
      global_monthly_micro_usd: monthly_usd * 1e6,
    },
  };
}

Deno.test("trap 26: `daily_limit_usd` stays per agent; the fleet has limits of its own", () => {
  const fleet = directory("budget: { global_daily_limit_usd: 5, global_monthly_limit_usd: 50 }");
  assert.equal(ask(fleet, call("x"), withGlobal(5, 5)), "deny: daily budget exceeded");
  assert.equal(ask(fleet, call("x"), withGlobal(1, 50)), "deny: monthly budget exceeded");
  assert.equal(ask(fleet, call("x"), withGlobal(4, 4)), "allow");
  const each = directory("budget: { daily_limit_usd: 5 }");
  assert.equal(ask(each, call("x"), withGlobal(500, 500)), "allow");
});

Deno.test("a document's own window decides which figure its limit is tested against", () => {
  const policy = directory("budget: { daily_limit_usd: 5, timezone: Europe/Berlin }");
  const spend: Spend = {
    state: "known",
    agent_daily_micro_usd: 0,
    agent_monthly_micro_usd: 0,
    counted: (limit, budget) =>
      limit.window === "daily" && budget.timezone === "Europe/Berlin" ? 5_000_000 : undefined,
  };
  assert.equal(ask(policy, call("x"), { spend }), "deny: daily budget exceeded");
});

Deno.test("named limits and prices are read with their places", () => {
  const [document] = load(`budget:
  limits:
    tree: { per: subtree, window: rolling, days: 7, usd: 2.5, tokens: 1000 }
    time: { wall_seconds: 60, calls: 5 }
tools:
  search: { allow: true, cost_usd: 0.01 }
`);
  const tree = document?.budget?.limits?.get("tree");
  assert.deepEqual([tree?.per, tree?.window, tree?.days], ["subtree", "rolling", 7]);
  assert.deepEqual([tree?.micro_usd?.value, tree?.micro_usd?.line], [2_500_000, 3]);
  const time = document?.budget?.limits?.get("time");
  assert.deepEqual([time?.per, time?.window, time?.wall_ms?.value], ["agent", "daily", 60_000]);
  assert.equal(document?.tools.get("search")?.cost_micro_usd?.value, 10_000);
});

Deno.test("a named limit that limits nothing, or counts no days, is refused with its place", () => {
  assert.deepEqual(problems("budget: { limits: { a: { per: team } } }"), [
    "budget.limits.a: limits nothing: add `usd`, `tokens`, `calls` or `wall_seconds`",
  ]);
  assert.deepEqual(problems("budget: { limits: { a: { window: rolling, usd: 1 } } }"), [
    "budget.limits.a: a rolling window needs `days`: add it",
  ]);
  assert.deepEqual(problems("budget: { limits: { a: { days: 3, usd: 1 } } }"), [
    "budget.limits.a.days: only a window that is `rolling` has `days`: remove it",
  ]);
  for (const bad of ["usd: 0", "usd: -1", "usd: .nan", "tokens: 1.5", "calls: 0", "per: house"]) {
    assert.equal(problems(`budget: { limits: { a: { usd: 1, ${bad} } } }`).length > 0, true, bad);
  }
  assert.equal(problems("tools: { a: { cost_usd: -1 } }").length, 1);
  assert.equal(
    problems("budget: { global_daily_limit_usd: 5, global_monthly_limit_usd: 1 }").length,
    1,
  );
});

Deno.test("without a ledger every call that would be charged is denied, and nothing else", () => {
  const named = directory("budget: { limits: { a: { tokens: 5 } } }");
  assert.equal(ask(named, llmCall("gpt-4o", 1, false), UNAVAILABLE), UNLEDGERED);
  assert.equal(ask(named, call("x"), UNAVAILABLE), "allow");
  const calls = directory("budget: { limits: { a: { calls: 5 } } }");
  assert.equal(ask(calls, call("x"), UNAVAILABLE), UNLEDGERED);
  const priced = directory(
    "budget: { daily_limit_usd: 5 }\ntools: { x: { allow: true, cost_usd: 1 }, y: { allow: true } }",
  );
  assert.equal(ask(priced, call("x"), UNAVAILABLE), UNLEDGERED);
  assert.equal(ask(priced, call("y"), UNAVAILABLE), "allow");
  const team = directory("budget: { limits: { a: { per: team, tokens: 5 } } }");
  const { team_id: _, ...alone } = agent();
  const loner = { ...UNAVAILABLE, principal: alone };
  assert.equal(ask(team, llmCall("gpt-4o", 1, false), loner), "allow");
});

Deno.test("the new keys change a digest, and a document without them keeps the one it had", () => {
  const digest = (text: string) => load(text)[0]?.digest;
  const texts = [
    "budget: { daily_limit_usd: 1 }",
    "budget: { daily_limit_usd: 1, global_daily_limit_usd: 1 }",
    "budget: { daily_limit_usd: 1, global_monthly_limit_usd: 1 }",
    "budget: { daily_limit_usd: 1, assumed_output_tokens: 1 }",
    "budget: { daily_limit_usd: 1, agent_settlement: trusted }",
    "budget: { daily_limit_usd: 1, limits: { a: { usd: 1 } } }",
    "budget: { daily_limit_usd: 1, limits: { b: { usd: 1 } } }",
    "budget: { daily_limit_usd: 1, limits: { a: { tokens: 1 } } }",
    "budget: { daily_limit_usd: 1, limits: { a: { usd: 1, per: org } } }",
    "tools: { a: { allow: true } }",
    "tools: { a: { allow: true, cost_usd: 1 } }",
  ];
  assert.equal(new Set(texts.map(digest)).size, texts.length);
});

Deno.test("B11: an unknown budget time zone is refused when the policy is loaded", () => {
  assert.deepEqual(problems("budget: { daily_limit_usd: 1, timezone: Europe/Nowhere }").length, 1);
  assert.match(
    problems("budget: { daily_limit_usd: 1, timezone: Berlin }")[0] ?? "",
    /budget\.timezone: must be an IANA time zone name, .*did you mean `Europe\/Berlin`/,
  );
});
