/** Conformance group E: conditions, as a decision sees them (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import type { AgentContext } from "../principal.ts";
import { compilePolicySet, type PolicySet } from "./compile.ts";
import { decide } from "./decide.ts";
import { loadPolicy } from "./load.ts";
import { agent, ask, call, directory, facts, STRANGER } from "./policy_fixture.ts";

/** A policy whose wildcard entry carries one condition. */
function when(condition: string): PolicySet {
  return directory(
    `tools: { "*": { allow: true, requires_approval_if: ${JSON.stringify(condition)} } }`,
  );
}

function askWith(policy: PolicySet, context: AgentContext, tool = "x"): string {
  return ask(policy, call(tool), { principal: agent({ context }) });
}

Deno.test("E1: a condition on the tool's name asks approval for 300 seconds", () => {
  assert.equal(ask(when('tool == "search"'), call("search")), "approval 300");
  assert.equal(ask(when('tool == "search"'), call("other")), "allow");
});

Deno.test("E2: the document's own timeout is used", () => {
  const policy = directory(`
approval_timeout_secs: 600
tools: { deploy: { allow: true, requires_approval_if: 'tool == "deploy"' } }
`);
  assert.equal(ask(policy, call("deploy")), "approval 600");
});

Deno.test("E3: each call's arguments are judged afresh", () => {
  const policy = when("args.amount > 100");
  assert.equal(ask(policy, call("pay", { amount: 1 })), "allow");
  assert.equal(ask(policy, call("pay", { amount: 1_000_000 })), "approval 300");
});

Deno.test("E4: arguments that are not JSON, or lack the key, do not fire", () => {
  const policy = when("args.amount > 100");
  assert.equal(ask(policy, call("pay", "not json")), "allow");
  assert.equal(ask(policy, call("pay", { other: 1 })), "allow");
});

Deno.test("E5: an argument's prefix is tested", () => {
  const policy = when('args.path starts_with "/etc"');
  assert.equal(ask(policy, call("read", { path: "/etc/x" })), "approval 300");
  assert.equal(ask(policy, call("read", { path: "/home" })), "allow");
});

Deno.test("E6: a nested argument is reached", () => {
  const policy = when('args.headers.authorization contains "Bearer"');
  const args = { headers: { authorization: "Bearer x" } };
  assert.equal(ask(policy, call("fetch", args)), "approval 300");
});

Deno.test("E7: a missing argument does not count as outside a list", () => {
  const policy = when('args.region not_in ["eu","us"]');
  assert.equal(ask(policy, call("deploy", { region: "cn" })), "approval 300");
  assert.equal(ask(policy, call("deploy", {})), "allow");
});

Deno.test("E8: a number nobody knows fires", () => {
  assert.equal(ask(when("agent.depth > 3"), call("x"), { principal: STRANGER }), "approval 300");
});

Deno.test("E9: risk tiers are ordered, and an unknown tier does not fire", () => {
  const policy = when("agent.risk_tier > Medium");
  assert.equal(askWith(policy, { risk_tier: "high" }), "approval 300");
  assert.equal(askWith(policy, { risk_tier: "low" }), "allow");
  assert.equal(askWith(policy, {}), "allow");
});

Deno.test("E10: governance levels are ordered, and an unknown level does not fire", () => {
  const policy = when("governance_level >= L2");
  assert.equal(askWith(policy, { governance_level: 2 }), "approval 300");
  assert.equal(askWith(policy, { governance_level: 1 }), "allow");
  assert.equal(askWith(policy, {}), "allow");
});

Deno.test("E11: the entry `message` governs messages by their channel", () => {
  const policy = directory(`
tools: { message: { allow: true, requires_approval_if: 'target.channel_id in ["ops"]' } }
`);
  assert.equal(ask(policy, { kind: "send_message", channel_id: "ops" }), "approval 300");
  assert.equal(ask(policy, { kind: "send_message" }), "allow");
  assert.equal(ask(policy, call("message")), "allow");
});

Deno.test("E12: AND binds tighter than OR", () => {
  const policy = when('tool == "a" OR tool == "b" AND path == "x"');
  assert.equal(ask(policy, call("a")), "approval 300");
  assert.equal(ask(policy, call("b")), "allow");
});

Deno.test("E13: a condition with an unusable literal never lets a call pass unasked", () => {
  const text = "tools: { x: { allow: true, requires_approval_if: 'tool == true' } }";
  const loaded = loadPolicy("p.yaml", text);
  if (loaded.ok) assert.equal(ask(compilePolicySet([loaded.document]), call("x")), "approval 300");
  else assert.equal(loaded.problems[0]?.field, "tools.x.requires_approval_if");
});

Deno.test("E14: whether an agent is a root is known only with a context", () => {
  const policy = when("agent.is_root == 1");
  assert.equal(askWith(policy, { depth: 0 }), "approval 300");
  assert.equal(askWith(policy, { depth: 2 }), "allow");
  assert.equal(ask(policy, call("x"), { principal: STRANGER }), "allow");
});

Deno.test("E16: both sides of AND must hold", () => {
  const policy = when("agent.depth > 2 AND team.budget_remaining < 10");
  const context = (depth: number, usd: number): AgentContext => ({
    depth,
    team_budget_remaining_micro_usd: usd * 1_000_000,
  });
  assert.equal(askWith(policy, context(3, 5)), "approval 300");
  assert.equal(askWith(policy, context(1, 5)), "allow");
  assert.equal(askWith(policy, context(3, 50)), "allow");
});

Deno.test("a look-up that fails asks approval and is kept as evidence", () => {
  const policy = when("agent.depth > 3");
  const context = { depth: { lookup_failed: "registry unreachable" } };
  const decision = decide(policy, call("x"), facts({ principal: agent({ context }) }));
  assert.equal(decision.outcome, "require_approval");
  assert.deepEqual(decision.evidence, [{
    variable: "agent.depth",
    action: "require_approval",
    cause: "registry unreachable",
  }]);
});
