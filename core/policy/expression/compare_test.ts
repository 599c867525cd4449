/** The evaluation table of contract `policy-and-gateway` §2.5, row by row. */
import assert from "node:assert/strict";
import type { Action } from "../../action.ts";
import type { AgentContext } from "../../principal.ts";
import type { LookupEvidence } from "./condition.ts";
import { answer, call, condition, fires, reading } from "./expression_fixture.ts";

/** `holds` and `fails` are conditions; all are asked about one action and agent. */
function expectAll(
  action: Action,
  agent: AgentContext | undefined,
  expected: { readonly holds: readonly string[]; readonly fails: readonly string[] },
): void {
  for (const text of expected.holds) assert.equal(fires(text, action, agent), true, text);
  for (const text of expected.fails) assert.equal(fires(text, action, agent), false, text);
}

Deno.test("context number: numbers, numeric texts and durations compare", () => {
  expectAll(call("t"), { depth: 5, age_s: 60, team_active_agents: 2, children_count: 0 }, {
    holds: [
      "agent.depth == 5",
      'agent.depth >= "5"',
      "agent.depth < 5.5",
      "agent.depth != 4",
      "agent.age == 1m",
      "agent.depth < inf",
      "agent.depth > -inf",
      "agent.depth < 1e1",
      "team.parallel_agents == 2",
      "team.active_agents == 2",
      "agent.children_count == 0",
    ],
    fails: [
      "agent.depth > 5",
      'agent.depth > "four"',
      "agent.depth > L0",
      "agent.depth > Low",
      'agent.depth in ["5"]',
      'agent.depth contains "5"',
      "agent.depth == nan",
      "agent.depth < nan",
    ],
  });
});

Deno.test("context number: a missing value fires whatever is asked", () => {
  for (const agent of [undefined, {}]) {
    expectAll(call("t"), agent, {
      holds: ["agent.depth > 5", "agent.depth < 5", 'agent.depth == "x"', "agent.age != 1h"],
      fails: [],
    });
  }
});

Deno.test("tier: ordered, and false when missing or compared with anything else", () => {
  expectAll(call("t"), { risk_tier: "medium", parent_risk_tier: "critical" }, {
    holds: [
      "agent.risk_tier == Medium",
      "agent.risk_tier != Low",
      "agent.risk_tier < High",
      "parent.risk_tier >= Critical",
    ],
    fails: ['agent.risk_tier == "Medium"', "agent.risk_tier == 1", "agent.risk_tier > Medium"],
  });
  expectAll(call("t"), {}, {
    holds: [],
    fails: ["agent.risk_tier != Low", "parent.risk_tier < High"],
  });
});

Deno.test("level: ordered, and false when missing or compared with anything else", () => {
  expectAll(call("t"), { governance_level: 1 }, {
    holds: ["governance_level == L1", "governance_level != L3", "governance_level < L2"],
    fails: ["governance_level == 1", 'governance_level == "L1"', "governance_level > L1"],
  });
  expectAll(call("t"), {}, { holds: [], fails: ["governance_level != L0"] });
});

Deno.test("trap 19: context text: false when missing, also for != and not_in", () => {
  expectAll(call("t"), { team_id: "red-1" }, {
    holds: [
      'agent.team_id == "red-1"',
      'agent.team_id != "blue"',
      'agent.team_id contains "ed"',
      'agent.team_id starts_with "red"',
      'agent.team_id not_in ["blue"]',
    ],
    fails: ["agent.team_id == 1", 'agent.team_id > "a"', 'agent.team_id contains "RED"'],
  });
  expectAll(call("t"), {}, {
    holds: [],
    fails: ['agent.team_id != "x"', 'agent.team_id not_in ["x"]', 'agent.team_id == ""'],
  });
});

Deno.test("flag: equality with a number or boolean, nothing else", () => {
  expectAll(call("t"), { depth: 0, children_count: 3 }, {
    holds: [
      "agent.is_root == 1",
      'agent.is_root == "1"',
      "agent.is_root != 0",
      "agent.is_root == true",
      "agent.is_leaf == 0",
      "agent.is_leaf != true",
    ],
    fails: ["agent.is_root > 0", 'agent.is_root == "yes"', "agent.is_leaf == 1"],
  });
  expectAll(call("t"), {}, { holds: [], fails: ["agent.is_root == 0", "agent.is_root != true"] });
});

Deno.test("set: any name for == and prefixes, all names for !=", () => {
  expectAll(call("t"), { child_tools: ["bash", "search"] }, {
    holds: ['child.tool == "bash"', 'child.tool starts_with "sea"', 'child.tool != "ls"'],
    fails: ['child.tool != "bash"', 'child.tool in ["bash"]', "child.tool == 1"],
  });
  expectAll(call("t"), { child_tools: [] }, {
    holds: ['child.tool != "bash"'],
    fails: ['child.tool == "bash"', 'child.tool contains ""'],
  });
  expectAll(call("t"), {}, { holds: [], fails: ['child.tool != "bash"'] });
});

Deno.test("message text: false when missing, also for != and not_in", () => {
  const message: Action = { kind: "send_message", source_team_id: "a", target_team_id: "b" };
  expectAll(message, undefined, {
    holds: ['source.team_id == "a"', 'target.team_id not_in ["a"]', 'target.team_id != "a"'],
    fails: ['target.channel_id != "x"', 'target.channel_id not_in ["x"]', "source.team_id == 1"],
  });
  expectAll(call("t"), undefined, { holds: [], fails: ['source.team_id != "z"'] });
});

Deno.test("plain text on another kind of action reads as empty, so != and not_in fire", () => {
  expectAll(answer("x"), undefined, {
    holds: ['tool != "a"', 'path not_in ["/"]', "url > 5", "tool != 5", "tool != L1", 'url == ""'],
    fails: ['tool == "a"', 'path in ["/"]', 'command contains "a"', "tool == 5"],
  });
});

Deno.test("plain text: numbers compare when the text is one", () => {
  expectAll(reading("12"), undefined, {
    holds: ["path == 12", "path > 11", "path != 13", "path != Low", 'path != ["12"]', "path > L1"],
    fails: ["path == 13", "path < 12", "path contains 1", "path starts_with L1", "path != 12"],
  });
  expectAll(reading("x"), undefined, {
    holds: ["path != 12", "path < 12", "path >= 12", 'path > "5"'],
    fails: ["path == 12", 'path in "x"'],
  });
});

Deno.test("plain text: each field belongs to one kind of action", () => {
  const request: Action = { kind: "network_request", url: "https://a/", method: "GET" };
  expectAll(request, undefined, {
    holds: ['url == "https://a/"', 'method == "GET"', 'path == ""', 'tool == ""'],
    fails: ['command != ""'],
  });
  expectAll({ kind: "process_exec", command: "rm -rf /" }, undefined, {
    holds: ['command starts_with "rm "', 'url == ""'],
    fails: [],
  });
});

Deno.test("JSON: texts and numbers compare with their own kind only", () => {
  const args = { s: "5", n: 5, f: 0.1 + 0.2, b: true, z: null, o: {}, l: [["x"]], "": { "": "e" } };
  expectAll(call("t", args), undefined, {
    holds: [
      'args.s == "5"',
      'args.s in ["4" "5"]',
      'args.s not_in ["4"]',
      "args.n == 5",
      "args.n != 6",
      "args.n <= 5",
      "args.f == 0.3",
      'args.l.0.0 == "x"',
      'args.. == "e"',
      "args.b == true",
      "args.b != false",
    ],
    fails: [
      "args.s == 5",
      "args.s != 5",
      'args.n == "5"',
      'args.n != "5"',
      "args.n > 1s",
      "args.z != 1",
      'args.o == ""',
      'args.l.00.0 == "x"',
      'args.l.1.0 != "x"',
      'args.missing not_in ["a"]',
      'args.s > "4"',
      'args.constructor.name == "Object"',
      "args.toString == true",
      "args.l.length == true",
      'args.s.length != "x"',
      "args.b == false",
      "args.missing == true",
    ],
  });
});

Deno.test("JSON: a boolean asked of what is none cannot be told, and fires", () => {
  expectAll(call("t", { s: "true", n: 1, z: null }), undefined, {
    holds: ["args.s == true", "args.n == true", "args.z != true", "args.s > true"],
    fails: [],
  });
});

Deno.test("a __proto__ in the arguments is a key like any other", () => {
  const args = '{"__proto__": {"admin": "yes"}}';
  assert.equal(fires('args.__proto__.admin == "yes"', call("t", args)), true);
  assert.equal(fires('args.admin == "yes"', call("t", args)), false);
});

Deno.test("the body of an answer: contains and starts_with, and paths into its JSON", () => {
  expectAll(answer('{"status": "failed"}'), undefined, {
    holds: [
      'tool_result starts_with "{"',
      'tool_result contains "failed"',
      'tool_result.status == "failed"',
    ],
    fails: ['tool_result == "{}"', 'tool_result != "{}"', 'args.status == "failed"'],
  });
});

Deno.test("a failed look-up fires, under NOT too, and leaves evidence", () => {
  const failed = { lookup_failed: "registry timeout" };
  const agent: AgentContext = {
    governance_level: failed,
    risk_tier: failed,
    depth: failed,
    team_id: failed,
    child_tools: failed,
  };
  const texts = [
    "governance_level >= L2",
    "agent.risk_tier > Low",
    "agent.depth > 3",
    "agent.is_root == 1",
    'agent.team_id == "a"',
    'child.tool == "bash"',
    "agent.risk_tier == 5",
  ];
  for (const text of texts) {
    const evidence: LookupEvidence[] = [];
    assert.equal(fires(text, call("t"), agent, evidence), true, text);
    assert.equal(fires(`NOT ${text}`, call("t"), agent), true, text);
    assert.deepEqual(evidence, [{
      variable: text.split(" ")[0],
      action: "require_approval",
      cause: "registry timeout",
    }]);
  }
});

Deno.test("NOT turns a decided answer around and leaves an undecided one firing", () => {
  expectAll(call("a", { n: 5 }), { depth: 1 }, {
    holds: ['NOT tool == "b"', "NOT args.n > 5", 'NOT (tool == "b" AND path == "x")'],
    fails: ['NOT tool == "a"', "NOT agent.depth < 3", 'NOT NOT tool == "b"'],
  });
  expectAll(call("a"), undefined, {
    holds: [
      "NOT agent.depth > 3",
      "NOT NOT agent.depth > 3",
      "NOT path > 5",
      "NOT tool == true",
      'NOT (agent.depth > 3 AND tool == "a")',
    ],
    fails: [
      'NOT (agent.depth > 3 OR tool == "a")',
      'agent.depth > 3 AND tool == "b"',
    ],
  });
});

Deno.test("a condition is live when it reads registry or budget state", () => {
  for (const text of ["agent.depth > 1", "governance_level >= L1", "team.budget_remaining < 1"]) {
    assert.equal(condition(`tool == "a" OR ${text}`).live, true, text);
  }
  assert.equal(condition('tool == "a" AND args.n > 1 OR source.team_id == "x"').live, false);
});

Deno.test("an explanation tells each clause and never quotes what may hold a secret", () => {
  const secret = "sk-live-1234567890";
  const action = call("pay", {
    token: secret,
    path: secret,
    url: secret,
    command: secret,
    method: secret,
  });
  const text = `tool == "pay" AND (args.token contains "sk-" OR path == "a" OR url == "b" OR ` +
    `command == "c" OR method == "GET") AND agent.risk_tier > Low AND agent.depth > 1`;
  const clauses = condition(text).explain({ action, agent: { risk_tier: "high" } });
  assert.deepEqual(clauses.map(({ clause, holds, seen }) => ({ clause, holds, seen })), [
    { clause: 'tool == "pay"', holds: true, seen: "`pay`" },
    { clause: 'args.token contains "sk-"', holds: true, seen: "text of 18 characters" },
    { clause: 'path == "a"', holds: false, seen: "text of 18 characters" },
    { clause: 'url == "b"', holds: false, seen: "text of 18 characters" },
    { clause: 'command == "c"', holds: false, seen: "text of 18 characters" },
    { clause: 'method == "GET"', holds: false, seen: "text of 18 characters" },
    { clause: "agent.risk_tier > Low", holds: true, seen: "high" },
    { clause: "agent.depth > 1", holds: true, seen: "missing" },
  ]);
  const [body] = condition('tool_result contains "sk-"').explain({
    action: answer(secret),
    agent: undefined,
  });
  assert.equal(body?.seen, "text of 18 characters");
});

Deno.test("an explanation tells which clauses push the condition towards firing, NOT considered", () => {
  const text = `NOT tool == "pay" OR NOT (tool == "x" AND agent.depth > 1)`;
  const clauses = condition(text).explain({ action: call("pay", {}), agent: {} });
  assert.deepEqual(clauses.map(({ clause, negated, urges }) => [clause, negated, urges]), [
    ['tool == "pay"', true, false],
    ['tool == "x"', true, true],
    // What cannot be told pushes whichever way round it stands.
    ["agent.depth > 1", true, true],
  ]);
});
