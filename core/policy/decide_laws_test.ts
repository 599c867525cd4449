/** Laws of the decision function, tried on random policies and requests. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Action } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { Decision } from "../verdict.ts";
import { compilePolicySet } from "./compile.ts";
import { decide, ENGINE_FAULT, type Facts } from "./decide.ts";
import type { PolicyDocument } from "./document.ts";
import { mergePathScopes } from "./filesystem.ts";
import { agent, call, directory, facts, load } from "./policy_fixture.ts";
import { actionOf, factsOf, policyText, SCOPES } from "./policy_arbitrary.ts";

const RANK = { allow: 0, require_approval: 1, deny: 2 } as const;

function severity(decision: Decision): number {
  return RANK[decision.outcome];
}

function decideAll(documents: readonly PolicyDocument[], action: Action, known: Facts): Decision {
  return decide(compilePolicySet(documents), action, known);
}

const TEXTS = fc.array(policyText(SCOPES), { minLength: 1, maxLength: 4 });

Deno.test("adding a document never makes a verdict milder, unless none applied before", () => {
  fc.assert(
    fc.property(TEXTS, policyText(SCOPES), actionOf(), factsOf(), (texts, added, action, known) => {
      const before = decideAll(load(...texts), action, known);
      if (before.stage === "configuration") return;
      const after = decideAll(load(...texts, added), action, known);
      assert.ok(severity(after) >= severity(before), `${texts.join("\n---\n")}\n+++\n${added}`);
    }),
    { numRuns: 600 },
  );
});

Deno.test("the order of files changes no outcome", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const documents = load(...texts);
      const forward = decideAll(documents, action, known);
      const backward = decideAll(documents.toReversed(), action, known);
      assert.equal(backward.outcome, forward.outcome);
      assert.equal(backward.stage, forward.stage);
    }),
    { numRuns: 300 },
  );
});

Deno.test("the same question gets the same answer, from the same set and from a new one", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const documents = load(...texts);
      const policy = compilePolicySet(documents);
      const first = decide(policy, action, known);
      assert.deepEqual(decide(policy, action, known), first);
      assert.deepEqual(decideAll(documents, action, known), first);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a single file and a directory with that one global file decide alike", () => {
  fc.assert(
    fc.property(policyText(["global"]), actionOf(), factsOf(), (text, action, known) => {
      const documents = load(text);
      const single = decide(compilePolicySet(documents, { mode: "single_file" }), action, known);
      assert.deepEqual(decideAll(documents, action, known), single);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a single file governs every agent, whatever its scope, and says so", () => {
  const documents = load("scope: team:other\ntools: { x: { allow: false } }");
  const policy = compilePolicySet(documents, { mode: "single_file" });
  assert.equal(decide(policy, call("x"), facts()).reason, "tool denied by policy");
  assert.equal(decide(policy, call("y"), facts()).outcome, "allow");
  assert.match(policy.warnings.join(), /scope `team:other` is ignored/);
});

Deno.test("arbitrary text in any field is decided, never a fault", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("__proto__", "*", "", "/"));
  const action: fc.Arbitrary<Action> = fc.oneof(
    fc.record({ kind: fc.constant("tool_call"), tool: text, args: text }),
    fc.record({ kind: fc.constant("tool_result"), tool: text, result: text }),
    fc.record({ kind: fc.constant("network_request"), url: text, method: text }),
    fc.record({ kind: fc.constant("process_exec"), command: text }),
    fc.record({
      kind: fc.constant("file_access"),
      path: text,
      mode: fc.constantFrom("read", "write", "append", "delete"),
    }),
    fc.record({ kind: fc.constant("send_message"), channel_id: text }),
  );
  const principal: fc.Arbitrary<Principal> = fc.record({
    engine_key: text,
    registry_key: text,
    org_id: text,
    team_id: text,
    agent_id: text,
  }).map((ids) => agent(ids));
  const policy = directory(`
network: { allowlist: ["*.example"] }
filesystem: { read: { allow: [/a] }, write: { allow: [/] } }
capabilities: { deny: ["mcp_tool:git"] }
tools: { "*": { allow: true, limit_per_hour: 5, requires_approval_if: 'args.a == "b"' } }
`);
  fc.assert(
    fc.property(action, principal, (asked, who) => {
      const decision = decide(policy, asked, facts({ principal: who }));
      assert.notEqual(decision.reason, ENGINE_FAULT);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("an action or fact of a wrong shape is denied, never let through and never thrown", () => {
  const policy = directory("{}");
  const shapes: readonly unknown[] = [
    null,
    undefined,
    {},
    { kind: "teleport" },
    { kind: "tool_call" },
    { kind: "tool_call", tool: 1, args: "" },
    { kind: "tool_call", tool: "x", args: { a: 1 } },
    { kind: "tool_result", tool: "x" },
    { kind: "file_access", path: "/a", mode: "execute" },
    { kind: "file_access", path: ["/a"], mode: "read" },
    { kind: "network_request", url: undefined, method: "GET" },
    { kind: "process_exec" },
  ];
  for (const shape of shapes) {
    const decision = decide(policy, shape as Action, facts());
    assert.deepEqual([decision.outcome, decision.reason], ["deny", ENGINE_FAULT]);
  }
  for (const broken of [null, undefined, {}, { principal: null }]) {
    assert.equal(decide(policy, call("x"), broken as unknown as Facts).outcome, "deny");
  }
});

Deno.test("a fact that cannot be had denies: clock, bucket, condition", () => {
  const fail = (): never => {
    throw new Error("unreachable");
  };
  const limited = directory("tools: { x: { allow: true, limit_per_hour: 5 } }");
  assert.equal(decide(limited, call("x"), facts({ rateTokens: fail })).outcome, "deny");
  assert.equal(decide(limited, call("x"), facts({ rateTokens: () => NaN })).outcome, "deny");
  const timed = directory(
    'schedule: { active_hours: { start: "00:00", end: "24:00", timezone: UTC } }',
  );
  for (const now_ms of [NaN, Infinity, -Infinity]) {
    assert.equal(decide(timed, call("x"), facts({ now_ms })).outcome, "deny");
  }
  const [document] = load("tools: { x: { allow: true, requires_approval_if: 'tool == \"x\"' } }");
  const rule = document?.tools.get("x");
  assert.ok(document && rule?.requires_approval_if);
  const condition = { ...rule.requires_approval_if, fires: fail };
  const tools = new Map([["x", { ...rule, requires_approval_if: condition }]]);
  const broken = compilePolicySet([{ ...document, tools }]);
  assert.equal(decide(broken, call("x"), facts()).reason, ENGINE_FAULT);
});

Deno.test("every denial by a rule cites a place in a file and the document", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const documents = load(...texts);
      const decision = decideAll(documents, action, known);
      if (decision.stage === "status" || decision.stage === "configuration") return;
      assert.notEqual(decision.policy_doc_id, undefined);
      if (decision.outcome === "allow") return;
      const { rule } = decision;
      assert.ok(rule && rule.line >= 1 && rule.column >= 1 && rule.path !== "");
      assert.equal(rule.policy_doc_id, decision.policy_doc_id);
      assert.ok(
        documents.some(({ file, digest }) => file === rule.file && digest === rule.policy_doc_id),
      );
    }),
    { numRuns: 500 },
  );
});

Deno.test("an allow that costs a token says so, and a denial never does", () => {
  fc.assert(
    fc.property(TEXTS, actionOf(), factsOf(), (texts, action, known) => {
      const decision = decideAll(load(...texts), action, known);
      if (decision.outcome === "deny") assert.equal(decision.charges, undefined);
      const buckets = decision.charges?.map(({ scope, bucket }) => `${scope} ${bucket}`) ?? [];
      assert.equal(new Set(buckets).size, buckets.length, "one bucket, one token");
    }),
    { numRuns: 300 },
  );
});

Deno.test("the merged path scope permits exactly what the decision permits", () => {
  fc.assert(
    fc.property(TEXTS, fc.constantFrom("/a", "/a/b", "/b", "/"), (texts, path) => {
      const documents = load(...texts.map((text) => text.replace(/^scope:.*$/m, "scope: global")));
      const scope = mergePathScopes(documents, "read");
      const action: Action = { kind: "file_access", mode: "read", path };
      const decision = decideAll(documents, action, facts());
      if (scope.state === "stated" && !scope.subtrees.contains(path)) {
        assert.equal(decision.outcome, "deny");
      } else assert.notEqual(decision.stage, "filesystem");
    }),
    { numRuns: 300 },
  );
});
