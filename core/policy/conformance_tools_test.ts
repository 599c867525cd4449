/** Conformance group T: tools (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { RateBuckets } from "./rate_limit.ts";
import { decide } from "./decide.ts";
import { ask, call, directory, facts, lineOf, NOON_MS } from "./policy_fixture.ts";

const WILDCARD_DENIES = `
tools:
  "*": { allow: false }
  read_file: { allow: true }
`;

const WILDCARD_LIMITS = `
tools:
  "*": { allow: true, limit_per_hour: 1 }
  read_file: { allow: true }
`;

const WILDCARD_ASKS = `
tools:
  "*": { allow: true, requires_approval_if: 'tool != ""' }
  read_file: { allow: true }
`;

/** Asks and takes the token, as the gateway does. */
function spender(text: string): (tool: string) => string {
  const policy = directory(text);
  const buckets = new RateBuckets();
  return (tool) => {
    const rateTokens: (charge: Parameters<RateBuckets["tokens"]>[0]) => number = (charge) =>
      buckets.tokens(charge, NOON_MS);
    const decision = decide(policy, call(tool), facts({ rateTokens }));
    if (decision.outcome !== "deny") buckets.take(decision.charges ?? [], NOON_MS);
    return lineOf(decision);
  };
}

Deno.test("T1: a policy that says nothing allows any tool", () => {
  assert.equal(ask(directory("{}"), call("anything")), "allow");
});

Deno.test("T2: `allow: false` denies the tool", () => {
  const policy = directory("tools: { search: { allow: false } }");
  assert.equal(ask(policy, call("search")), "deny: tool denied by policy");
});

Deno.test("T3: an entry without `allow` denies the tool", () => {
  const policy = directory("tools: { search: { limit_per_hour: 5 } }");
  assert.equal(ask(policy, call("search")), "deny: tool denied by policy");
});

Deno.test("T4: an exact entry beats the wildcard", () => {
  assert.equal(ask(directory(WILDCARD_DENIES), call("read_file")), "allow");
});

Deno.test("T5: the wildcard governs tools without an entry", () => {
  const policy = directory(WILDCARD_DENIES);
  assert.equal(ask(policy, call("exfiltrate_secrets")), "deny: tool denied by policy");
});

Deno.test("T6: an unlisted tool passes when there is no wildcard", () => {
  assert.equal(ask(directory("tools: { search: { allow: false } }"), call("other")), "allow");
});

Deno.test("T7: the wildcard's limit counts each tool in its own bucket", () => {
  const ask = spender(WILDCARD_LIMITS);
  assert.equal(ask("search"), "allow");
  assert.equal(ask("search"), "deny: rate limit exceeded");
  assert.equal(ask("another"), "allow");
});

Deno.test("T8: an exact entry does not inherit the wildcard's limit", () => {
  const ask = spender(WILDCARD_LIMITS);
  assert.deepEqual([1, 2, 3].map(() => ask("read_file")), ["allow", "allow", "allow"]);
});

Deno.test("T9: the wildcard's condition asks approval for 300 seconds", () => {
  assert.equal(ask(directory(WILDCARD_ASKS), call("exfiltrate")), "approval 300");
});

Deno.test("T10: an exact entry shadows the wildcard's condition", () => {
  assert.equal(ask(directory(WILDCARD_ASKS), call("read_file")), "allow");
});

Deno.test("names that JavaScript objects inherit are ordinary tool names", () => {
  const policy = directory("tools: { search: { allow: false } }");
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.equal(ask(policy, call(name)), "allow");
  }
  const denying = directory('tools: { "*": { allow: false } }');
  for (const name of ["__proto__", "constructor", "toString"]) {
    assert.equal(ask(denying, call(name)), "deny: tool denied by policy");
  }
});

Deno.test("a tool result is not stopped by the tool's entry, only by its capability", () => {
  const policy = directory("tools: { git: { allow: false, limit_per_hour: 0 } }");
  const result = { kind: "tool_result", tool: "git", result: "ok" } as const;
  assert.equal(ask(policy, result), "allow");
  const denying = directory('capabilities: { deny: ["mcp_tool:git"] }');
  assert.equal(ask(denying, result), "deny: capability denied by policy");
});
