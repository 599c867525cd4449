/**
 * Conformance group E at the level of the expression (contract `policy-and-gateway` §14). What the
 * engine makes of a firing condition is tested where the engine is.
 */
import assert from "node:assert/strict";
import type { Action } from "../../action.ts";
import { answer, call, faults, fires, reading } from "./expression_fixture.ts";

Deno.test("E1, E2: a condition on the tool's name fires for that tool", () => {
  assert.equal(fires('tool == "search"', call("search")), true);
  assert.equal(fires('tool == "search"', call("deploy")), false);
});

Deno.test("E3: an argument is compared anew for every call", () => {
  assert.equal(fires("args.amount > 100", call("pay", { amount: 1 })), false);
  assert.equal(fires("args.amount > 100", call("pay", { amount: 1_000_000 })), true);
});

Deno.test("E4: arguments that are no JSON, or lack the key, do not fire", () => {
  for (const args of ["", "not json", "{", "[]", "{}", "null", '{"amount":null}']) {
    assert.equal(fires("args.amount > 100", call("pay", args)), false, args);
  }
});

Deno.test("E5: a prefix of an argument", () => {
  assert.equal(fires('args.path starts_with "/etc"', call("t", { path: "/etc/x" })), true);
  assert.equal(fires('args.path starts_with "/etc"', call("t", { path: "/home" })), false);
});

Deno.test("E6: a nested argument", () => {
  const args = { headers: { authorization: "Bearer x" } };
  assert.equal(fires('args.headers.authorization contains "Bearer"', call("t", args)), true);
});

Deno.test("E7: not_in holds for another value and not for a missing one", () => {
  const text = 'args.region not_in ["eu","us"]';
  assert.equal(fires(text, call("t", { region: "cn" })), true);
  assert.equal(fires(text, call("t", { region: "eu" })), false);
  assert.equal(fires(text, call("t", {})), false);
});

Deno.test("E8: a missing number fires", () => {
  assert.equal(fires("agent.depth > 3"), true);
  assert.equal(fires("agent.depth > 3", call("t"), {}), true);
  assert.equal(fires("agent.depth > 3", call("t"), { depth: 3 }), false);
});

Deno.test("E9: risk tiers are ordered, and a missing one does not fire", () => {
  const text = "agent.risk_tier > Medium";
  assert.equal(fires(text, call("t"), { risk_tier: "high" }), true);
  assert.equal(fires(text, call("t"), { risk_tier: "low" }), false);
  assert.equal(fires(text, call("t"), {}), false);
});

Deno.test("E10: governance levels are ordered, and a missing one does not fire", () => {
  const text = "governance_level >= L2";
  assert.equal(fires(text, call("t"), { governance_level: 2 }), true);
  assert.equal(fires(text, call("t"), { governance_level: 1 }), false);
  assert.equal(fires(text), false);
});

Deno.test("E11: a channel condition fires for messages on that channel only", () => {
  const text = 'target.channel_id in ["ops"]';
  const message = (channel_id?: string): Action =>
    channel_id === undefined ? { kind: "send_message" } : { kind: "send_message", channel_id };
  assert.equal(fires(text, message("ops")), true);
  assert.equal(fires(text, message()), false);
  assert.equal(fires(text, call("message")), false);
});

Deno.test("E12: AND binds tighter than OR", () => {
  const text = 'tool == "a" OR tool == "b" AND path == "x"';
  assert.equal(fires(text, call("a")), true);
  assert.equal(fires(text, call("b")), false);
  assert.equal(fires(text, call("b", { path: "x" })), true);
});

Deno.test("E13: a comparison with a boolean that cannot be made always fires", () => {
  for (const action of [call("true"), call("x"), answer(""), reading("/")]) {
    assert.equal(fires("tool == true", action), true);
    assert.equal(fires("tool != false", action), true);
  }
});

Deno.test("E14: is_root follows the depth, and without context does not fire", () => {
  assert.equal(fires("agent.is_root == 1", call("t"), { depth: 0 }), true);
  assert.equal(fires("agent.is_root == 1", call("t"), { depth: 2 }), false);
  assert.equal(fires("agent.is_root == 1"), false);
});

Deno.test("E15: tool_result sees the body of a tool's answer and of nothing else", () => {
  const text = 'tool_result contains "sk-"';
  assert.equal(fires(text, answer("token sk-123")), true);
  assert.equal(fires(text, answer("token")), false);
  assert.equal(fires(text, call("t", "sk-123")), false);
});

Deno.test("E16: both numbers of a conjunction must hold", () => {
  const text = "agent.depth > 2 AND team.budget_remaining < 10";
  const agent = (depth: number, usd: number) => ({
    depth,
    team_budget_remaining_micro_usd: usd * 1_000_000,
  });
  assert.equal(fires(text, call("t"), agent(3, 5)), true);
  assert.equal(fires(text, call("t"), agent(1, 5)), false);
  assert.equal(fires(text, call("t"), agent(3, 50)), false);
});

Deno.test("E17: a text ordered against a number fires", () => {
  assert.equal(fires("path > 5", reading("/etc/passwd")), true);
  assert.equal(fires("path > 5", reading("6")), true);
  assert.equal(fires("path > 5", reading("4")), false);
});

Deno.test("trap 16: a trailing AND or OR is an error with its place, not a silent change", () => {
  for (const word of ["AND", "OR"]) {
    assert.deepEqual(faults(`tool == "a" ${word}`), [
      `\`${word}\` has no clause after it: remove it`,
    ]);
    assert.match(faults(`${word} tool == "a"`)[0] ?? "", /has no clause before it/);
  }
});

Deno.test("trap 17: durations load, levels in quotes are texts, true and false have a meaning", () => {
  assert.equal(fires("agent.age > 24h", call("t"), { age_s: 86_401 }), true);
  assert.equal(fires("agent.age > 24h", call("t"), { age_s: 86_400 }), false);
  assert.equal(fires('tool == "L4"', call("L4")), true);
  assert.equal(fires("args.force == true", call("t", { force: true })), true);
  assert.equal(fires("args.force == true", call("t", { force: false })), false);
  assert.equal(fires("agent.is_root == false", call("t"), { depth: 1 }), true);
});

Deno.test("trap 18: in and not_in work on team and parent, child.risk_tier when it is known", () => {
  assert.equal(fires('agent.team_id in ["a", "b"]', call("t"), { team_id: "b" }), true);
  assert.equal(fires('agent.team_id in ["a", "b"]', call("t"), { team_id: "c" }), false);
  assert.equal(
    fires('agent.parent_agent_id not_in ["a"]', call("t"), { parent_agent_id: "x" }),
    true,
  );
  assert.equal(fires('agent.parent_agent_id not_in ["a"]', call("t"), {}), false);
  assert.equal(fires("child.risk_tier >= High", call("t"), { child_risk_tier: "critical" }), true);
  assert.equal(fires("child.risk_tier >= High", call("t"), {}), false);
});

Deno.test("trap 9: path, url, command and method read the arguments of a tool call", () => {
  for (const field of ["path", "url", "command", "method"]) {
    assert.equal(fires(`${field} == "v"`, call("t", { [field]: "v" })), true, field);
    assert.equal(fires(`${field} == "v"`, call("t", { [field]: "w" })), false, field);
    assert.equal(fires(`${field} == ""`, call("t", {})), true, field);
    assert.equal(fires(`${field} == "v"`, call("t", "not json")), false, field);
  }
});

Deno.test("trap 9: an argument wrapped in a list hides nothing", () => {
  for (const value of [["/etc/passwd"], { p: "/etc" }, 5, null]) {
    assert.equal(fires('path starts_with "/etc"', call("t", { path: value })), true);
    assert.equal(fires('NOT path starts_with "/home"', call("t", { path: value })), true);
  }
});
