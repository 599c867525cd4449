import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDocument } from "yaml";
import type { Action } from "../action.ts";
import { LIMITS } from "../limits.ts";
import type { Explanation } from "../verdict.ts";
import { compilePolicySet, type PolicySet } from "./compile.ts";
import { decide, type Facts } from "./decide.ts";
import { explain } from "./explain.ts";
import { Quote } from "./explain/quote.ts";
import { applyAll, CHANGES_MAX, searchChanges } from "./explain/search.ts";
import { decideIn, type Edit, worldOf } from "./explain/world.ts";
import { actionOf, factsOf, policyText, SCOPES } from "./policy_arbitrary.ts";
import {
  agent,
  call,
  compiled,
  directory,
  facts,
  file,
  load,
  NOON_MS,
  request,
} from "./policy_fixture.ts";

const TEXTS = fc.array(policyText(SCOPES), { minLength: 1, maxLength: 3 });

function explained(policy: PolicySet, action: Action, known: Partial<Facts> = {}): Explanation {
  const all = facts(known);
  return explain(policy, action, all, decide(policy, action, all));
}

/** The changes as `who: text`. */
function told(explanation: Explanation): string[] {
  return explanation.changes.map(({ who, text }) => `${who}: ${text}`);
}

function searched(policy: PolicySet, action: Action, known: Facts) {
  const world = worldOf(policy, action, known);
  const quote = new Quote(() => ({ scan: () => [] }));
  return { world, ...searchChanges(world, decide(policy, action, known), quote) };
}

Deno.test("the listed changes together give an allow, and no part of them does", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const { world, edits, complete } = searched(directory(...texts), action, known);
      if (!complete) return assert.equal(edits.length, CHANGES_MAX);
      assert.equal(decideIn(applyAll(world, edits)).outcome, "allow");
      for (const part of edits.length <= 5 ? properSubsets(edits) : leavingOneOut(edits)) {
        assert.notEqual(decideIn(applyAll(world, part)).outcome, "allow");
      }
    }),
    { numRuns: 600 },
  );
});

function properSubsets(edits: readonly Edit[]): Edit[][] {
  const masks = Array.from({ length: Math.max(0, 2 ** edits.length - 1) }, (_, mask) => mask);
  return masks.map((mask) => edits.filter((_, at) => (mask >> at) & 1));
}

function leavingOneOut(edits: readonly Edit[]): Edit[][] {
  return edits.map((left_out) => edits.filter((edit) => edit !== left_out));
}

Deno.test("the changes, made by hand in the files, load and give an allow", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const { edits, complete } = searched(directory(...texts), action, known);
      if (!complete) return;
      const edited = [...texts];
      let world = worldOf(directory(...texts), action, known);
      for (const edit of edits) {
        const { rule, who } = edit.change;
        const at = texts.findIndex((_, index) => rule?.file === `p${index}.yaml`);
        if (rule === undefined || who === "agent") world = edit.apply(world);
        else edited[at] = editedText(edited[at] ?? "", rule.path, edit.change.yaml);
      }
      // Edits without a rule act on the request, the agent, the time, or add the blank document.
      if (edits.some(({ change }) => change.who === "org_admin" && !change.rule)) edited.push("{}");
      const decision = decide(compilePolicySet(load(...edited)), world.action, world.facts);
      assert.equal(decision.outcome, "allow", `${edited.join("\n---\n")}\n${decision.reason}`);
    }),
    { numRuns: 400 },
  );
});

/** Sets the value at a dotted path, or removes it when there is none. */
function editedText(text: string, path: string, yaml: string | undefined): string {
  const document = parseDocument(text);
  const keys = path.split(/[.[\]]/).filter((key) => key !== "")
    .map((key) => /^\d+$/.test(key) ? Number(key) : key);
  if (yaml === undefined) document.deleteIn(keys);
  else document.setIn(keys, document.createNode(parseDocument(yaml).toJS()));
  return document.toString();
}

Deno.test("the steps end with the one that decided, and cite the same rule", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const policy = directory(...texts);
      const decision = decide(policy, action, known);
      const { considered, outcome } = explain(policy, action, known, decision);
      assert.ok(considered.length > 0 && considered.length <= LIMITS.explanation_steps);
      const results = considered.map((step) => step.result);
      const denials = considered.filter((step) => step.result === "deny");
      assert.equal(denials.length, decision.outcome === "deny" ? 1 : 0);
      if (decision.outcome === "deny") {
        const last = considered.at(-1);
        assert.deepEqual([last?.stage, last?.result], [decision.stage, "deny"]);
        assert.deepEqual(last?.rule, decision.rule);
      } else if (considered.length < LIMITS.explanation_steps) {
        assert.equal(results.includes("require_approval"), outcome === "require_approval");
        assert.equal(results.includes("redact"), decision.redacted !== undefined);
      }
    }),
    { numRuns: 600 },
  );
});

Deno.test("a denied tool names its line and the one word to change", () => {
  const policy = directory("scope: team:t1\ntools:\n  bash:\n    allow: false\n");
  const explanation = explained(policy, call("bash"));
  assert.equal(explanation.outcome, "deny");
  assert.equal(explanation.reason, "tool denied by policy");
  assert.deepEqual(explanation.rule, {
    file: "p0.yaml",
    line: 4,
    column: 5,
    path: "tools.bash.allow",
    policy_doc_id: policy.documents[0]?.document.digest,
  });
  const [change] = explanation.changes;
  assert.equal(change?.text, "set `tools.bash.allow` to `true`");
  assert.deepEqual([change?.yaml, change?.who], ["true", "team_admin"]);
  assert.match(explanation.summary, /^Denied by `tools.bash.allow` at p0.yaml:4:5: call of tool/);
});

Deno.test("a tool denied by default is told that the default is to deny", () => {
  const explanation = explained(directory("tools:\n  bash: { limit_per_hour: 5 }\n"), call("bash"));
  assert.equal(explanation.rule?.path, "tools.bash");
  assert.match(explanation.considered.at(-1)?.detail ?? "", /no `allow`, and the default is false/);
});

Deno.test("a tool denied by `*` gets its own entry that keeps the limits of `*`", () => {
  const policy = directory('tools: { "*": { limit_per_hour: 9 } }');
  const [change] = explained(policy, call("bash")).changes;
  assert.equal(change?.rule?.path, "tools.bash");
  assert.deepEqual(JSON.parse(change?.yaml ?? ""), { allow: true, limit_per_hour: 9 });
});

Deno.test("several refusals in a row are all listed, with who may change each", () => {
  const policy = directory(
    "tools: { bash: { allow: false } }",
    'scope: org:o1\ncapabilities: { deny: ["mcp_tool:bash"] }',
    "scope: tool:bash\ntools: { bash: { allow: true, limit_per_hour: 60 } }",
  );
  const known = { principal: agent({ status: "suspended" }), rateTokens: () => 0.5 };
  assert.deepEqual(told(explained(policy, call("bash"), known)), [
    "operator: have an operator resume the agent",
    "org_admin: remove `mcp_tool:bash` from `capabilities.deny`",
    "org_admin: set `tools.bash.allow` to `true`",
    "agent: wait 30 s, when the next call of `bash` is due under `tools.bash.limit_per_hour` (60)",
  ]);
});

Deno.test("a closed window says when it opens", () => {
  const policy = directory(
    'schedule: { active_hours: { start: "14:00", end: "17:00", timezone: Europe/Berlin } }',
  );
  assert.deepEqual(told(explained(policy, call("x"))), [
    "agent: wait until 2026-03-04T13:00:00.000Z, when active hours (14:00 to 17:00 " +
    "Europe/Berlin) begin",
  ]);
});

Deno.test("windows that never overlap cannot be waited for", () => {
  const window = (start: string, end: string) =>
    `schedule: { active_hours: { start: "${start}", end: "${end}", timezone: UTC } }`;
  const policy = directory(window("01:00", "02:00"), `scope: team:t1\n${window("03:00", "04:00")}`);
  const changes = told(explained(policy, call("x")));
  assert.equal(changes.length, 2);
  assert.match(changes[0] ?? "", /^org_admin: remove `schedule.active_hours`/);
  assert.match(changes[1] ?? "", /^agent: wait until/);
});

Deno.test("a refused request is told which host was understood", () => {
  const policy = directory("network: { allowlist: [api.example] }");
  const explanation = explained(policy, request("https://EVIL.example?x=api.example"));
  assert.match(explanation.considered.at(-1)?.detail ?? "", /understood host `evil.example`/);
  assert.deepEqual(told(explanation), [
    "org_admin: add `evil.example` to `network.allowlist`",
  ]);
});

Deno.test("an unreadable URL is to be mended by the agent", () => {
  const policy = directory("network: { allowlist: [api.example] }");
  const explanation = explained(policy, request("https://user:pass@api.example/x"));
  assert.deepEqual(told(explanation), ["agent: send the URL as `https://api.example`"]);
  assert.ok(!JSON.stringify(explanation).includes("user:pass"));
});

Deno.test("a firing condition shows which clause holds", () => {
  const policy = directory(
    'tools: { pay: { allow: true, requires_approval_if: "args.amount > 100" } }',
  );
  const explanation = explained(policy, call("pay", { amount: 500 }));
  assert.equal(explanation.outcome, "require_approval");
  assert.match(told(explanation).join(), /or make `args.amount > 100` \(.*\) not hold/);
});

Deno.test("a budget denial gives the figures, and the limit that would do", () => {
  const policy = directory("budget: { daily_limit_usd: 2.5 }");
  const spend = {
    state: "known",
    agent_daily_micro_usd: 3_250_000,
    agent_monthly_micro_usd: 3_250_000,
  } as const;
  const explanation = explained(policy, call("x"), { spend });
  assert.match(explanation.considered.at(-1)?.detail ?? "", /3.25 USD spent of 2.5 USD/);
  assert.equal(explanation.changes[0]?.yaml, "3.250001");
});

Deno.test("without a policy the explanation says how to configure one", () => {
  const explanation = explained(compilePolicySet([]), call("x"));
  assert.equal(explanation.reason, "no policy — fail-closed");
  assert.match(told(explanation).join(), /org_admin: configure a policy/);
  const elsewhere = explained(directory("scope: team:other"), call("x"));
  assert.match(told(elsewhere).join(), /add a document with `scope: global`/);
});

Deno.test("an allow needs no change, and a redaction counts as one", () => {
  assert.deepEqual(explained(directory("{}"), call("x")).changes, []);
  const redacted = explained(directory("{}"), call("x", { mail: "someone@example.com" }));
  assert.equal(redacted.outcome, "redact");
  assert.deepEqual(redacted.changes, []);
});

Deno.test("no secret of a request appears in its explanation", () => {
  const secret = `sk-${"a1B2c3D4e5".repeat(5)}`;
  const policies = ["block", "redact_only", "alert_only"].map((action) =>
    directory(`
network: { allowlist: [api.example] }
filesystem: { read: { allow: [/workspace] } }
capabilities: { deny: [terminal_exec] }
tools: { "*": { allow: false } }
data: { sensitive_patterns: ["hunter[0-9]+"], credential_action: ${action} }
`)
  );
  const actions: Action[] = [
    call(secret, { key: secret }),
    call("hunter2", "hunter2"),
    file("read", `/etc/${secret}`),
    file("read", `/etc/${"x".repeat(170)}${secret}`),
    request(`https://${secret.toLowerCase()}.example/`),
    request(`https://hunter2.example/?key=${secret}`),
    request(`https://u:${secret}@api.example/`),
    { kind: "process_exec", command: `curl -H ${secret}` },
    { kind: "process_exec", command: `${secret} x` },
    { kind: "tool_result", tool: "x", result: secret },
  ];
  for (const policy of policies) {
    for (const action of actions) {
      const text = JSON.stringify(explained(policy, action));
      assert.ok(!text.includes("hunter2"), text);
      assert.ok(!text.includes(secret.slice(0, 12)), text);
    }
  }
});

Deno.test("control characters of a request reach no terminal", () => {
  const policy = directory('tools: { "*": { allow: false } }\nfilesystem: { read: {} }');
  const actions = [call("\u001b[2Jx\u202ey"), file("read", "/\u001b[2Jx\u202ey")];
  const text = JSON.stringify(actions.map((action) => explained(policy, action)));
  for (const unsafe of ["\\u001b", "\u202e", "\u001b"]) assert.ok(!text.includes(unsafe), text);
});

Deno.test("a detector that fails is explained without quoting the request", () => {
  const scannerFor = () => ({
    scan: (): never => {
      throw new Error("broken");
    },
  });
  const policy = compiled({ scannerFor }, "{}");
  const explanation = explained(policy, call("secret-tool-name"));
  assert.equal(explanation.outcome, "deny");
  assert.ok(!JSON.stringify(explanation).includes("secret-tool-name"));
});

Deno.test("a long cascade is counted, and the deciding step still shown", () => {
  const passing = Array.from({ length: 60 }, () => "tools: { x: { allow: true } }");
  const policy = directory(...passing, "tools: { x: { allow: false } }");
  const { considered } = explained(policy, call("x"));
  assert.equal(considered.length, LIMITS.explanation_steps);
  const last = considered.at(-1);
  assert.deepEqual([last?.stage, last?.result], ["tool", "deny"]);
  assert.match(last?.detail ?? "", /\d+ further steps not listed/);
});

Deno.test("explaining never throws, whatever it is asked", () => {
  const policy = directory("{}");
  const decision = decide(policy, {} as Action, facts());
  const explanation = explain(policy, {} as Action, facts(), decision);
  assert.equal(explanation.outcome, "deny");
  assert.deepEqual(explanation.changes, []);
  const broken = { principal: null, now_ms: NOON_MS } as unknown as Facts;
  assert.equal(
    explain(policy, call("x"), broken, decide(policy, call("x"), broken)).outcome,
    "deny",
  );
});

Deno.test("under NOT the advice names the clause that must hold, and never the one that is fine", () => {
  const policy = directory(
    `tools:
  summarise:
    allow: true
    requires_approval_if: 'NOT args.model == "small" OR NOT args.tokens <= 8000'`,
  );
  const text = told(explained(policy, call("summarise", { model: "large", tokens: 10 }))).join();
  assert.match(text, /make `args\.model == "small"` \(.*\) hold/);
  assert.doesNotMatch(text, /args\.tokens/);
});
