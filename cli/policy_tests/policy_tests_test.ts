import assert from "node:assert/strict";
import fc from "fast-check";
import { compilePolicySet } from "../../core/policy/compile.ts";
import { loadPolicy } from "../../core/policy/load.ts";
import { formatProblem } from "../../core/policy/position.ts";
import { DEFAULT_NOW_MS, type PolicyTestCase } from "./case.ts";
import { loadPolicyTests } from "./load.ts";
import { runCase } from "./run.ts";

function cases(text: string): readonly PolicyTestCase[] {
  const loaded = loadPolicyTests(text);
  assert(loaded.ok, Deno.inspect(loaded));
  return loaded.file.cases;
}

function problems(text: string): string[] {
  const loaded = loadPolicyTests(text);
  assert(!loaded.ok);
  return loaded.problems.map((problem) => formatProblem("t", problem));
}

function oneCase(fields: string): string {
  return `policy: p.yaml\ncases:\n  - name: n\n${fields.replace(/^/gm, "    ")}`;
}

function policy(text: string) {
  const loaded = loadPolicy("p.yaml", text);
  assert(loaded.ok, Deno.inspect(loaded));
  return compilePolicySet([loaded.document], { mode: "single_file" });
}

Deno.test("every kind of action is understood", () => {
  const actions = [
    ["tool: { name: t, args: { a: [1, true, null, x] } }", {
      kind: "tool_call",
      tool: "t",
      args: '{"a":[1,true,null,"x"]}',
    }],
    ["tool: { name: t }", { kind: "tool_call", tool: "t", args: "{}" }],
    ['tool: { name: t, args: "{broken" }', { kind: "tool_call", tool: "t", args: "{broken" }],
    ["tool_result: { name: t, result: { b: 2 } }", {
      kind: "tool_result",
      tool: "t",
      result: '{"b":2}',
    }],
    ["file: { op: create, path: /x }", { kind: "file_access", path: "/x", mode: "write" }],
    ["network: { url: 'https://h/' }", {
      kind: "network_request",
      url: "https://h/",
      method: "CONNECT",
    }],
    ["exec: { command: rm -rf / }", { kind: "process_exec", command: "rm -rf /" }],
    ["llm: { model: m, prompt_tokens: 5 }", {
      kind: "tool_call",
      tool: "llm_call",
      args: '{"model":"m","prompt_tokens":5,"contains_pii":false}',
      llm: { model: "m", prompt_tokens: 5 },
    }],
    ["message: { channel_id: c }", { kind: "send_message", channel_id: "c" }],
  ] as const;
  for (const [text, expected] of actions) {
    const [test] = cases(oneCase(`action: { ${text} }\nexpect: allow`));
    assert.deepEqual(test?.action, expected, text);
  }
});

Deno.test("an agent's facts, the moment and the repetition are understood", () => {
  const [test] = cases(oneCase(
    [
      "action: { tool: { name: t } }",
      "expect: deny",
      'at: "2026-03-04T01:00:00+02:00"',
      "repeat: 3",
      "agent: { id: a1, org: o, team: t, level: 2, risk_tier: high, depth: 1, status: suspended }",
    ].join("\n"),
  ));
  assert.equal(test?.now_ms, Date.UTC(2026, 2, 3, 23));
  assert.equal(test?.repeat, 3);
  assert.deepEqual(test?.principal, {
    assurance: "bound",
    agent_id: "a1",
    engine_key: "f55ff16f66f43360266b95db6f8fec01",
    status: "suspended",
    org_id: "o",
    team_id: "t",
    context: { governance_level: 2, risk_tier: "high", depth: 1 },
  });
});

Deno.test("without a moment a case is decided at the same one, whatever the day of the run", () => {
  const [test] = cases(oneCase("action: { tool: { name: t } }\nexpect: deny"));
  assert.equal(test?.now_ms, DEFAULT_NOW_MS);
});

Deno.test("every problem of a bad file is named with its place", () => {
  assert.deepEqual(
    problems(
      [
        "policy: 5",
        "cases:",
        "  - name: a",
        "    action: { tol: { name: x } }",
        "    expect: maybe",
        "    regex: x",
        "  - action: { tool: {} }",
        "    agent: { level: 9, id: 7 }",
        "    at: yesterday",
      ].join("\n"),
    ),
    [
      "t:1:9: policy — expected the path of a policy file, received a number `5`",
      "t:4:13: cases[0].action — expected exactly one of tool, tool_result, file, network, exec, llm, message, received a mapping",
      "t:4:15: cases[0].action.tol — unknown key `tol`: did you mean `tool`? expected tool, tool_result, file, network, exec, llm, message",
      "t:5:13: cases[0].expect — expected one of allow, deny, redact, require_approval, received text `maybe`",
      "t:6:5: cases[0].regex — unknown key `regex`: expected name, agent, at, action, repeat, expect, rule, reason",
      "t:7:5: cases[1].name — is missing: say what the policy promises",
      "t:7:5: cases[1].expect — is missing: one of allow, deny, redact, require_approval",
      "t:7:21: cases[1].action.tool.name — is missing: this action needs it",
      "t:8:21: cases[1].agent.level — expected a whole number from 0 to 3, received a number `9`",
      "t:8:28: cases[1].agent.id — expected text, received a number `7`",
      "t:9:9: cases[1].at — expected a time with its zone such as 2026-01-31T09:00:00Z, received text `yesterday`",
    ],
  );
});

Deno.test("a file that tests nothing is a problem, not a success", () => {
  for (
    const text of [
      "",
      "# nothing",
      "policy: p.yaml",
      "policy: p.yaml\ncases: []",
      "cases: []",
      "[]",
      "policy: []\ncases: []",
    ]
  ) {
    assert(problems(text).length > 0, text);
  }
});

Deno.test("two actions in one case are refused: one of them would go untested", () => {
  const text = oneCase("action: { tool: { name: t }, exec: { command: x } }\nexpect: deny");
  assert.match(problems(text)[0] ?? "", /exactly one of tool/);
});

Deno.test("no text crashes the loader", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 100 }),
        fc.json().map((json) => `policy: p\ncases: ${json}`),
        fc.json().map((json) => oneCase(`action: ${json}\nexpect: deny`)),
      ),
      (text) => {
        const loaded = loadPolicyTests(text);
        assert(loaded.ok || loaded.problems.length > 0);
      },
    ),
    { numRuns: 500 },
  );
});

const LIMITED = policy("tools:\n  t:\n    allow: true\n    limit_per_hour: 2\n");

Deno.test("a case passes when outcome, rule and reason are as promised", () => {
  const [test] = cases(oneCase(
    "action: { tool: { name: t } }\nrepeat: 3\nexpect: deny\nrule: tools.t.limit_per_hour\nreason: rate limit exceeded",
  ));
  assert(test !== undefined);
  assert.equal(runCase(test, LIMITED).passed, true);
  assert.equal(runCase({ ...test, repeat: 2 }, LIMITED).passed, false);
  assert.equal(runCase({ ...test, repeat: 2, expect: "allow" }, LIMITED).passed, false);
});

Deno.test("a broken promise says what was expected, what came and why", () => {
  const [test] = cases(oneCase(
    "action: { tool: { name: t } }\nexpect: deny\nrule: tools.t.allow\nreason: tool denied by policy",
  ));
  assert(test !== undefined);
  const result = runCase(test, LIMITED);
  assert(!result.passed);
  assert.deepEqual(result.differences, [
    "expected `deny`, got `allow`",
    "expected rule `tools.t.allow`, got none",
    "expected reason `tool denied by policy`, got none",
  ]);
  assert.equal(result.explanation.outcome, "allow");
});

Deno.test("redaction is an outcome of its own", () => {
  const redacting = policy(
    "data:\n  credential_action: redact_only\ntools:\n  t: { allow: true }\n",
  );
  const [test] = cases(oneCase(
    "action: { tool: { name: t, args: { k: AKIAIOSFODNN7EXAMPLE } } }\nexpect: redact",
  ));
  assert(test !== undefined);
  assert.equal(runCase(test, redacting).passed, true);
  assert.equal(runCase({ ...test, expect: "allow" }, redacting).passed, false);
});
