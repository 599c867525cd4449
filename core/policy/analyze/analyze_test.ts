import assert from "node:assert/strict";
import fc from "fast-check";
import { compilePolicySet } from "../compile.ts";
import { decide } from "../decide.ts";
import { actionOf, factsOf, policyText, SCOPES } from "../policy_arbitrary.ts";
import { load } from "../policy_fixture.ts";
import { type Analysis, analyzePolicy } from "./mod.ts";
import { sameRule } from "./witness.ts";

function analyze(...texts: string[]): Analysis {
  return analyzePolicy(load(...texts), texts.length === 1 ? "single_file" : "directory");
}

/** `kind file:line path`, one a finding. */
function found(...texts: string[]): string[] {
  return analyze(...texts).findings.map(({ kind, rule }) =>
    `${kind} ${rule.file}:${rule.line} ${rule.path}`
  );
}

Deno.test("a policy without a flaw has no finding", () => {
  assert.deepEqual(
    found(`
tools:
  "*": { allow: false }
  pay: { allow: true, limit_per_hour: 5, requires_approval_if: 'args.amount > 10' }
capabilities: { allow: [file_read, network_outbound, "mcp_tool:pay"], deny: [terminal_exec] }
`.replace(", deny: [terminal_exec]", "")),
    [],
  );
});

Deno.test("an entry whose tool is refused elsewhere is shadowed, and the refusal is named", () => {
  const analysis = analyze(
    "tools: { bash: { allow: false } }",
    "scope: team:t\ntools:\n  bash: { allow: true }\n",
  );
  const finding = analysis.findings.find(({ kind }) => kind === "shadowed");
  assert.equal(`${finding?.rule.file}:${finding?.rule.line}`, "p1.yaml:3");
  assert.equal(finding?.because?.path, "tools.bash.allow");
  assert.deepEqual(finding?.counterexample.question.action, { tool: { name: "bash", args: {} } });
  assert.deepEqual(finding?.counterexample.question.agent["team"], "t");
  assert.equal(finding?.counterexample.reason, "tool denied by policy");
});

Deno.test("contradictions inside one document", () => {
  assert.deepEqual(
    found("capabilities: { deny: ['mcp_tool:a'] }\ntools: { a: { allow: true } }"),
    ["contradictory p0.yaml:2 tools.a"],
  );
  assert.deepEqual(
    found("capabilities:\n  allow: [file_read, file_write]\n  deny: [file_read]\n"),
    ["contradictory p0.yaml:2 capabilities.allow[0]"],
  );
  assert.deepEqual(
    found("capabilities: { allow: [file_read, file_delete], deny: [file_write] }"),
    ["contradictory p0.yaml:1 capabilities.allow[1]"],
  );
  assert.deepEqual(
    found("tools:\n  a: { allow: false, limit_per_hour: 3, requires_approval_if: 'args.x > 1' }"),
    [
      "contradictory p0.yaml:2 tools.a.limit_per_hour",
      "contradictory p0.yaml:2 tools.a.requires_approval_if",
    ],
  );
});

Deno.test("limits that never limit, and limits of nothing", () => {
  assert.deepEqual(
    found(
      "tools: { a: { allow: true, limit_per_hour: 5 } }",
      "scope: team:t\ntools: { a: { allow: true, limit_per_hour: 9 } }",
    ),
    ["shadowed p1.yaml:2 tools.a.limit_per_hour"],
  );
  assert.deepEqual(found("tools: { a: { allow: true, limit_per_hour: 0 } }"), [
    "always_denies p0.yaml:1 tools.a.limit_per_hour",
  ]);
  assert.deepEqual(
    found("budget: { daily_limit_usd: 5 }", "scope: team:t\nbudget: { daily_limit_usd: 7 }"),
    ["shadowed p1.yaml:2 budget.daily_limit_usd"],
  );
  assert.deepEqual(
    found("rate_limits: [{ per: agent, limit: 0, window: 1h }]"),
    ["always_denies p0.yaml:1 rate_limits[0]"],
  );
});

Deno.test("capability tokens that change nothing", () => {
  assert.deepEqual(
    found("capabilities: { allow: [file_read], deny: [terminal_exec] }"),
    ["shadowed p0.yaml:1 capabilities.deny[0]"],
  );
  // Without the denial, writing is refused anyway, and so is deleting.
  assert.deepEqual(
    found("capabilities: { allow: [file_read, file_delete], deny: [file_read] }"),
    ["contradictory p0.yaml:1 capabilities.allow[0]"],
  );
});

Deno.test("sections that open what capabilities forbid cannot be satisfied", () => {
  assert.deepEqual(
    found(`
capabilities: { allow: [terminal_exec] }
filesystem: { read: { allow: [/a] }, write: { allow: [/b] } }
network: { allowlist: [a.example] }
`),
    [
      "unsatisfiable p0.yaml:3 filesystem.read",
      "unsatisfiable p0.yaml:3 filesystem.write",
      "unsatisfiable p0.yaml:4 network",
    ],
  );
  // Deleting is still open: the section is of use.
  assert.deepEqual(
    found("capabilities: { allow: [file_delete] }\nfilesystem: { write: { allow: [/b] } }"),
    [],
  );
});

Deno.test("hosts: inert, covered, and excluded by a wider list", () => {
  assert.deepEqual(
    found("network:\n  allowlist: ['https://a.example', '*.b.example', x.b.example, c.example]"),
    ["dead p0.yaml:2 network.allowlist[0]", "shadowed p0.yaml:2 network.allowlist[2]"],
  );
  assert.deepEqual(
    found(
      "network: { allowlist: ['*.b.example'] }",
      "scope: team:t\nnetwork: { allowlist: [x.b.example, c.example, '*.z.example'] }",
    ),
    ["shadowed p1.yaml:2 network.allowlist[1]", "shadowed p1.yaml:2 network.allowlist[2]"],
  );
  assert.deepEqual(found("network: { allowlist: [a.example, a.example] }"), [
    "shadowed p0.yaml:1 network.allowlist[1]",
  ]);
});

Deno.test("paths outside a wider scope let nothing through", () => {
  assert.deepEqual(
    found(
      "filesystem: { read: { allow: [/a, /b/c] } }",
      "scope: team:t\nfilesystem: { read: { allow: [/a/x, /b, /d] } }",
    ),
    ["shadowed p1.yaml:2 filesystem.read.allow[2]"],
  );
});

Deno.test("conditions that never fire or always do are shown by a call", () => {
  const under = (condition: string) =>
    `tools: { a: { allow: true, requires_approval_if: '${condition}' } }`;
  const kinds = (condition: string) => analyze(under(condition)).findings.map(({ kind }) => kind);
  assert.deepEqual(kinds('args.x == "1" AND args.x == "2"'), ["never_fires"]);
  assert.deepEqual(kinds("args.n > 5 AND args.n < 3"), ["never_fires"]);
  assert.deepEqual(kinds('tool == "b"'), ["never_fires"]);
  assert.deepEqual(kinds('tool == "a"'), ["always_fires"]);
  assert.deepEqual(kinds('path != "" OR path == ""'), ["always_fires"]);
  assert.deepEqual(kinds("agent.depth >= 0"), ["always_fires"]);
  assert.deepEqual(kinds('tool_result contains "x"'), ["never_fires"]);
  assert.deepEqual(kinds("args.n > 5 AND args.n < 7"), []);
  assert.deepEqual(kinds('args.x contains "a" AND args.x contains "b"'), []);
  assert.deepEqual(kinds('command contains "rm"'), []);
  assert.deepEqual(kinds("agent.depth > 3"), []);
  const never = analyze(under("agent.depth < 0"));
  assert.match(never.findings[0]?.message ?? "", /never fire while the agent's context is known/);
});

Deno.test("what cannot be told is undecided, not found", () => {
  const text = (condition: string) =>
    `tools: { a: { allow: true, requires_approval_if: '${condition}' } }`;
  const contains = analyze(text('args.x == "q" AND args.x contains "z"'));
  assert.deepEqual(contains.findings, []);
  assert.match(contains.undecided[0]?.message ?? "", /more to try than can be listed/);
  const entangled = analyze(text("agent.depth > 3 AND agent.is_root == 1"));
  assert.match(entangled.undecided[0]?.message ?? "", /hang together/);
});

Deno.test("documents that refuse everything, restrict nothing, or are never reached", () => {
  const window = (start: string, end: string, zone = "UTC") =>
    `schedule: { active_hours: { start: "${start}", end: "${end}", timezone: ${zone} } }`;
  assert.deepEqual(
    found(window("09:00", "12:00"), `scope: team:t\n${window("13:00", "17:00")}`),
    ["always_denies p1.yaml:2 schedule.active_hours"],
  );
  const zones = analyze(
    window("09:00", "10:00"),
    `scope: team:t\n${window("09:00", "10:00", "Asia/Tokyo")}`,
  );
  assert.deepEqual(zones.findings, []);
  assert.match(zones.undecided[0]?.message ?? "", /zones differ/);
  assert.deepEqual(
    found(
      "capabilities: { allow: [file_read] }",
      "scope: team:t\ncapabilities: { allow: [terminal_exec] }",
    )
      .filter((line) => line.startsWith("always")),
    ["always_denies p1.yaml:2 capabilities.allow"],
  );
  assert.deepEqual(found("data: { locale_packs: [xx-YY] }"), [
    "always_denies p0.yaml:1 data.locale_packs[0]",
  ]);
  assert.deepEqual(found("{}"), ["never_denies p0.yaml:1 scope"]);
  assert.ok(
    found(
      "capabilities: { deny: ['mcp_tool:a'] }",
      "scope: tool:a\ntools: { a: { allow: true, limit_per_hour: 3 } }",
    ).includes("unreachable_document p1.yaml:1 scope"),
  );
});

Deno.test("law: an analysis never throws, and every finding has a request that was decided", () => {
  fc.assert(fc.property(
    fc.array(policyText(SCOPES), { minLength: 1, maxLength: 4 }),
    (texts) => {
      const { findings } = analyze(...texts);
      for (const { counterexample, message, rule } of findings) {
        assert.ok(counterexample.question.action, message);
        assert.ok(rule.line >= 1 && message.length > 0);
        assert.notEqual(counterexample.reason, "policy engine fault", message);
      }
    },
  ));
});

Deno.test("law: no request is ever decided by a rule that is said never to decide", () => {
  const never = new Set(["dead", "shadowed", "contradictory"]);
  fc.assert(fc.property(
    fc.array(policyText(SCOPES), { minLength: 1, maxLength: 3 }),
    fc.array(fc.tuple(actionOf(), factsOf()), { minLength: 1, maxLength: 10 }),
    (texts, asked) => {
      const mode = texts.length === 1 ? "single_file" : "directory";
      const documents = load(...texts);
      const { findings } = analyzePolicy(documents, mode);
      // A denied token is cited although a list refuses it anyway: it is idle, not silent.
      const silent = findings.filter(({ kind, rule }) =>
        never.has(kind) && !rule.path.startsWith("capabilities.deny")
      );
      const set = compilePolicySet(documents, { mode });
      for (const [action, facts] of asked) {
        const { rule } = decide(set, action, facts);
        const wrong = silent.find((one) => rule !== undefined && sameRule(one.rule, rule));
        assert.equal(wrong?.message, undefined);
      }
    },
  ));
});
