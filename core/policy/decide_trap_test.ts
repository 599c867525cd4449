/** Defects of the reference that live in a decision, each by its number (contract §13). */
import assert from "node:assert/strict";
import { llmCall } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { Decision } from "../verdict.ts";
import type { Spend } from "./budget.ts";
import { compilePolicySet } from "./compile.ts";
import { decide } from "./decide.ts";
import { understandHost } from "./network.ts";
import {
  agent,
  ask,
  call,
  compiled,
  directory,
  exec,
  facts,
  file,
  lineOf,
  NOON_MS,
  request,
  STRANGER,
} from "./policy_fixture.ts";
import { RateBuckets } from "./rate_limit.ts";

const KEY = `sk-${"a1B2c3D4e5".repeat(5)}`;
const OFF_LIST = "deny: host not in network allowlist";
const ASKS = 'tools: { pay: { allow: true, requires_approval_if: "args.amount > 100" } }';

function spent(daily_usd: number, monthly_usd: number): Spend {
  return {
    state: "known",
    agent_daily_micro_usd: daily_usd * 1_000_000,
    agent_monthly_micro_usd: monthly_usd * 1_000_000,
  };
}

function decideWith(text: string, spend: Spend, action = call("x")): Decision {
  return decide(directory(text), action, facts({ spend }));
}

Deno.test("trap 1: `action_on_exceed: suspend` suspends on a budget denial and never otherwise", () => {
  const suspend = "budget: { daily_limit_usd: 1, action_on_exceed: suspend }";
  assert.equal(decideWith(suspend, spent(1, 1)).deny_action, "suspend_agent");
  assert.equal(decideWith(suspend, spent(0.5, 1)).deny_action, "none");
  const denying = `${suspend}\ntools: { x: { allow: false } }`;
  assert.equal(decideWith(denying, spent(1, 1)).deny_action, "none");
  assert.equal(decideWith("budget: { daily_limit_usd: 1 }", spent(1, 1)).deny_action, "none");
});

Deno.test("trap 2: a program start is decided by the policy alone", () => {
  assert.equal(ask(directory("{}"), exec("ls -l")), "allow");
});

Deno.test("trap 4: neither query, fragment, user information nor backslash changes the host", () => {
  const policy = directory('network: { allowlist: ["*.openai.com"] }');
  const forged = [
    "https://evil.com?x=.openai.com",
    "https://evil.com#.openai.com",
    "https://api.openai.com@evil.com/",
    "https://user:password@api.openai.com/",
    "https://evil.com\\.openai.com",
    "https://evil.com\\@api.openai.com/",
    "https://evil.com%2f.openai.com/",
    "https://evil.com%00.openai.com/",
    "https://evil.com\n.openai.com/",
    "https://evil.com\t.openai.com/",
    "https://evil.com .openai.com/",
    "https:///api.openai.com/",
    "https://evil.com;.openai.com/@evil.com",
    "https://api.openai.com..evil.com/",
    "https://api.openai.com../",
    "https://.openai.com/",
    "https://a..openai.com/",
    "x?https://api.openai.com/",
    " https://api.openai.com/",
    "https://api.openai.com:99999/",
    "https://api.openai.com:80:443/",
    "https://[::1].openai.com/",
    "api.openai.com",
  ];
  for (const url of forged) assert.equal(ask(policy, request(url)), OFF_LIST, url);
  const same = [
    "https://API.openai.com./v1",
    "HTTPS://api.OpenAI.com:443?x=1",
    "tcp://api.openai.com:5432#x",
    "https://ａｐｉ.openai.com/",
  ];
  for (const url of same) assert.notEqual(ask(policy, request(url)), OFF_LIST, url);
});

Deno.test("trap 4: an international name and its ASCII form are one host", () => {
  const policy = directory("network: { allowlist: [bücher.example] }");
  assert.equal(ask(policy, request("https://xn--bcher-kva.example/")), "allow");
  assert.equal(ask(policy, request("https://BÜCHER.example/")), "allow");
  assert.deepEqual(understandHost("https://[2001:DB8::1]:443/"), {
    kind: "host",
    host: "2001:db8::1",
    is_address: true,
  });
});

Deno.test("trap 4: a wildcard over labels never covers an address", () => {
  const policy = directory('network: { allowlist: ["*.0.0.1", "*.1"] }');
  assert.equal(ask(policy, request("http://127.0.0.1/")), OFF_LIST);
});

Deno.test("trap 5: no document at all denies", () => {
  const decision = decide(compilePolicySet([]), call("x"), facts());
  assert.equal(lineOf(decision), "deny: no policy — fail-closed");
  assert.equal(decision.stage, "configuration");
});

Deno.test("trap 5: documents for others do not leave an agent unruled", () => {
  const decision = decide(directory("scope: team:other\ntools: {}"), call("x"), facts());
  assert.equal(lineOf(decision), "deny: no policy applies to this agent");
  assert.equal(decision.stage, "configuration");
});

Deno.test("trap 6: an agent that is not active may do nothing", () => {
  for (const status of ["suspended", "deregistered", "stale"] as const) {
    const decision = decide(directory("{}"), call("x"), facts({ principal: agent({ status }) }));
    assert.equal(lineOf(decision), `deny: agent ${status}`);
    assert.equal(decision.stage, "status");
  }
  const forged = { ...agent(), status: "root" } as unknown as Principal;
  assert.equal(
    ask(directory("{}"), call("x"), { principal: forged }),
    "deny: agent status unknown",
  );
});

Deno.test("trap 7: an approval does not skip the scan: the text to release is redacted", () => {
  const decision = decide(directory(ASKS), call("pay", { amount: 500, key: KEY }), facts());
  assert.equal(lineOf(decision), "approval 300");
  assert.ok(decision.redacted !== undefined && !decision.redacted.includes(KEY));
  assert.ok(decision.findings.length > 0);
});

Deno.test("trap 7: a blocked secret or an exceeded budget replaces an approval", () => {
  const blocking = `${ASKS}\ndata: { credential_action: block }`;
  assert.equal(
    ask(directory(blocking), call("pay", { amount: 500, key: KEY })),
    "deny: credential detected",
  );
  const bounded = `${ASKS}\nbudget: { daily_limit_usd: 1 }`;
  const decision = decideWith(bounded, spent(1, 1), call("pay", { amount: 500 }));
  assert.equal(lineOf(decision), "deny: daily budget exceeded");
});

Deno.test("trap 8: asked again after the grant, a hard denial shows", () => {
  const bounded = `${ASKS}\nbudget: { daily_limit_usd: 1 }`;
  const action = call("pay", { amount: 500 });
  assert.equal(lineOf(decideWith(bounded, spent(0, 0), action)), "approval 300");
  assert.equal(lineOf(decideWith(bounded, spent(1, 1), action)), "deny: daily budget exceeded");
});

Deno.test("trap 12: a third allow list does not reopen an empty intersection", () => {
  const policy = directory(
    "capabilities: { allow: [file_read] }",
    "scope: org:o1\ncapabilities: { allow: [file_write] }",
    "scope: team:t1\ncapabilities: { allow: [file_read, file_write] }",
  );
  for (const mode of ["read", "write"] as const) {
    assert.equal(ask(policy, file(mode, "/a")), "deny: capability not in allow list");
  }
});

Deno.test("trap 15: an agent that moves to another team is decided anew at once", () => {
  const policy = directory("{}", "scope: team:t2\ntools: { x: { allow: false } }");
  assert.equal(ask(policy, call("x")), "allow");
  const moved = agent({ team_id: "t2" });
  assert.equal(ask(policy, call("x"), { principal: moved }), "deny: tool denied by policy");
});

Deno.test("trap 20: a raised limit takes effect at once and keeps how full the bucket is", () => {
  const buckets = new RateBuckets();
  const charge = { scope: "team:t1", bucket: "search", limit: 2, window_ms: 3_600_000 };
  assert.equal(buckets.take([charge], NOON_MS), true);
  assert.equal(buckets.tokens({ ...charge, limit: 10 }, NOON_MS), 5);
  assert.equal(buckets.tokens({ ...charge, limit: 1 }, NOON_MS), 0.5);
});

Deno.test("trap 20: a denied call is not charged", () => {
  const text = `
tools: { pay: { allow: true, limit_per_hour: 5, requires_approval_if: "args.amount > 100" } }
data: { credential_action: block }
`;
  const denied = decide(directory(text), call("pay", { key: KEY }), facts());
  assert.equal(denied.outcome, "deny");
  assert.equal(denied.charges, undefined);
  const held = decide(directory(text), call("pay", { amount: 500 }), facts());
  assert.equal(held.outcome, "require_approval");
  const hour = { limit: 5, window_ms: 3_600_000 };
  assert.deepEqual(held.charges, [{ scope: "team:t1", bucket: "pay", ...hour }]);
});

Deno.test("trap 20: the token of a call that a later stage denied is given back", () => {
  const policy = directory("tools: { pay: { allow: true, limit_per_hour: 1 } }");
  const buckets = new RateBuckets();
  const rateTokens = (charge: Parameters<RateBuckets["tokens"]>[0]) =>
    buckets.tokens(charge, NOON_MS);
  const { charges = [] } = decide(policy, call("pay"), facts({ rateTokens }));
  assert.equal(buckets.take(charges, NOON_MS), true);
  assert.equal(decide(policy, call("pay"), facts({ rateTokens })).reason, "rate limit exceeded");
  buckets.refund(charges, NOON_MS);
  assert.equal(decide(policy, call("pay"), facts({ rateTokens })).outcome, "allow");
});

Deno.test("trap 21: a window may end at 24:00 or run over midnight", () => {
  const at = { line: 1, column: 1 };
  const window = (start_minute: number, end_minute: number) => {
    const active_hours = { at, start: "", end: "", start_minute, end_minute, timezone: "UTC" };
    const base = directory("schedule: {}").documents[0]?.document;
    assert.ok(base);
    return compilePolicySet([{ ...base, schedule: { at, active_hours } }]);
  };
  const open = (policy: ReturnType<typeof window>, time: string) =>
    ask(policy, call("x"), { now_ms: Date.parse(`2026-03-04T${time}Z`) }) === "allow";
  assert.equal(open(window(0, 1_440), "23:59:59.999"), true);
  const overnight = window(22 * 60, 6 * 60);
  assert.deepEqual(
    ["21:59:59", "22:00:00", "00:00:00", "05:59:59", "06:00:00"]
      .map((time) => open(overnight, time)),
    [false, true, true, true, false],
  );
});

Deno.test("trap 22: a stated path scope binds file access", () => {
  const policy = directory("filesystem: { read: { allow: [/workspace] } }");
  const decision = decide(policy, file("read", "/etc/passwd"), facts());
  assert.equal(lineOf(decision), "deny: path not in filesystem allowlist");
  assert.equal(decision.stage, "filesystem");
  assert.equal(decision.rule?.path, "filesystem.read.allow");
  const dodging = [
    "/workspace/../etc/passwd",
    "/workspace/..",
    "workspace/a",
    "",
    "/workspace/a\0/etc/passwd",
    " /workspace/a",
    "~/a",
  ];
  for (const path of dodging) {
    assert.equal(ask(policy, file("read", path)), "deny: path not in filesystem allowlist", path);
  }
  for (
    const path of [
      "/workspace",
      "/workspace//a",
      "/workspace/./a/",
      "//workspace/...",
      "/workspace/..a",
    ]
  ) {
    assert.equal(ask(policy, file("read", path)), "allow", path);
  }
});

Deno.test("trap 22: a denial of the whole domain outranks a path scope", () => {
  const policy = directory(`
capabilities: { deny: [file_read] }
filesystem: { read: { allow: [/workspace] } }
`);
  assert.equal(ask(policy, file("read", "/workspace/a")), "deny: capability denied by policy");
});

Deno.test("trap 23: an empty list denies everything, it never means unrestricted", () => {
  const policy = directory("filesystem: { read: {}, write: { allow: [] } }");
  for (const mode of ["read", "write", "append", "delete"] as const) {
    assert.equal(ask(policy, file(mode, "/")), "deny: path not in filesystem allowlist");
  }
});

Deno.test("trap 24: a single file and a directory give the same reason, in one order", () => {
  const text = `
tools: { git: { allow: false } }
capabilities: { deny: ["mcp_tool:git"] }
`;
  for (const mode of ["single_file", "directory"] as const) {
    assert.equal(ask(compiled({ mode }, text), call("git")), "deny: capability denied by policy");
  }
});

Deno.test("trap 25: every decision of a document names it", () => {
  for (const mode of ["single_file", "directory"] as const) {
    const policy = compiled({ mode }, "tools: { x: { allow: false } }");
    const digest = policy.documents[0]?.document.digest;
    for (const tool of ["x", "y"]) {
      assert.equal(decide(policy, call(tool), facts()).policy_doc_id, digest);
    }
  }
});

Deno.test("trap 27: team and organisation limits are not dropped: without a figure no model call", () => {
  const model = llmCall("gpt-4o", 10, false);
  for (const owner of ["team", "org"]) {
    const text = `budget: { ${owner}_daily_limit_usd: 5 }`;
    assert.equal(lineOf(decideWith(text, spent(0, 0), model)), "deny: budget ledger unavailable");
    assert.equal(lineOf(decideWith(text, spent(0, 0), call("x"))), "allow");
    const figures = { ...spent(0, 0), [`${owner}_daily_micro_usd`]: 5_000_000 };
    assert.equal(lineOf(decideWith(text, figures, model)), "deny: daily budget exceeded");
  }
});

Deno.test("trap 28: a monthly limit of a narrower document fires", () => {
  const policy = directory("{}", "scope: team:t1\nbudget: { monthly_limit_usd: 10 }");
  assert.equal(ask(policy, call("x"), { spend: spent(0, 10) }), "deny: monthly budget exceeded");
  assert.equal(ask(policy, call("x"), { spend: spent(0, 9.99) }), "allow");
});

Deno.test("trap 29: an agent's document is found under its own key and its registry key", () => {
  const registered = agent({ registry_key: "00112233445566778899aabbccddeeff" });
  const text = "scope: agent:00112233-4455-6677-8899-aabbccddeeff\ntools: { x: { allow: false } }";
  const policy = directory("{}", text);
  assert.equal(ask(policy, call("x"), { principal: registered }), "deny: tool denied by policy");
  const same = { ...STRANGER, engine_key: "00112233445566778899aabbccddeeff" };
  assert.equal(ask(policy, call("x"), { principal: same }), "deny: tool denied by policy");
  assert.equal(ask(policy, call("x")), "allow");
});
