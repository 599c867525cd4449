import assert from "node:assert/strict";
import type { Action } from "../action.ts";
import type { Principal } from "../principal.ts";
import { decide } from "./decide.ts";
import { explain } from "./explain.ts";
import { loadPolicy } from "./load.ts";
import {
  agent,
  call,
  directory,
  exec,
  facts,
  lineOf,
  NOON_MS,
  request,
  STRANGER,
} from "./policy_fixture.ts";
import { RateBuckets } from "./rate_limit.ts";

const LIMITED = "deny: rate limit exceeded";

/** Asks and takes, as the gateway does; the policy may be exchanged on the way. */
function gateway(...texts: string[]) {
  const buckets = new RateBuckets();
  let policy = directory(...texts);
  return {
    buckets,
    reload: (...next: string[]) => policy = directory(...next),
    ask: (action: Action, principal: Principal = agent(), now_ms = NOON_MS): string => {
      const rateTokens = (charge: Parameters<RateBuckets["tokens"]>[0]) =>
        buckets.tokens(charge, now_ms);
      const decision = decide(policy, action, facts({ principal, rateTokens, now_ms }));
      if (decision.outcome !== "deny") {
        assert.equal(buckets.take(decision.charges ?? [], now_ms), true);
      }
      return lineOf(decision);
    },
  };
}

const A2 = agent({ agent_id: "a2", registry_key: "2".repeat(32) });
const OTHER_TEAM = agent({ agent_id: "a3", registry_key: "3".repeat(32), team_id: "t2" });
const OTHER_ORG = agent({
  agent_id: "a4",
  registry_key: "4".repeat(32),
  team_id: "t4",
  org_id: "o2",
});

Deno.test("a declared limit counts per agent, team, organisation or gateway", () => {
  const passes = (per: string): string[] => {
    const { ask } = gateway(`rate_limits: [{ per: ${per}, limit: 1, window: 1h }]`);
    return [agent(), A2, OTHER_TEAM, OTHER_ORG].map((one) => ask(exec("id"), one));
  };
  assert.deepEqual(passes("agent"), ["allow", "allow", "allow", "allow"]);
  assert.deepEqual(passes("team"), ["allow", LIMITED, "allow", "allow"]);
  assert.deepEqual(passes("org"), ["allow", LIMITED, LIMITED, "allow"]);
  assert.deepEqual(passes("global"), ["allow", LIMITED, LIMITED, LIMITED]);
});

Deno.test("an agent without a team counts alone, and unregistered agents share", () => {
  const { ask } = gateway("rate_limits: [{ per: team, limit: 1, window: 1h }]");
  const alone = { ...STRANGER, registry_key: "9".repeat(32) };
  assert.deepEqual(
    [alone, alone, STRANGER, { ...STRANGER, agent_id: "x" }].map((one) => ask(exec("id"), one)),
    ["allow", LIMITED, "allow", LIMITED],
  );
});

Deno.test("a limit with a tool counts the calls of all tools it names in one bucket", () => {
  const { ask } = gateway(
    'rate_limits: [{ per: agent, tool: "db_*", limit: 2, window: 10m }]',
  );
  assert.equal(ask(call("db_read")), "allow");
  assert.equal(ask(call("search")), "allow");
  assert.equal(ask(call("db_write")), "allow");
  assert.equal(ask(call("db_drop")), LIMITED);
  assert.equal(ask(exec("db_drop")), "allow");
  assert.equal(ask(call("db_drop"), agent(), NOON_MS + 5 * 60_000), "allow");
});

Deno.test("a limit with an action counts that kind alone", () => {
  const { ask } = gateway(
    "rate_limits: [{ per: agent, action: network_request, limit: 1, window: 1h }]",
  );
  assert.equal(ask(request("https://a.example/")), "allow");
  assert.equal(ask(exec("id")), "allow");
  assert.equal(ask(request("https://b.example/")), LIMITED);
});

Deno.test("a call passes only when every bucket has a token, and a refusal costs none", () => {
  const { ask, buckets } = gateway(
    "tools: { search: { allow: true, limit_per_hour: 5 } }\n" +
      "rate_limits: [{ per: global, limit: 1, window: 1h }]",
  );
  assert.equal(ask(call("search")), "allow");
  assert.equal(ask(call("search")), LIMITED);
  const own = { scope: "team:t1", bucket: "search", limit: 5, window_ms: 3_600_000 };
  assert.equal(buckets.tokens(own, NOON_MS), 4);
});

Deno.test("a reload resets nothing: file name, order and limit may change", () => {
  const { ask, reload } = gateway("rate_limits: [{ per: agent, limit: 2, window: 1h }]");
  assert.equal(ask(exec("id")), "allow");
  assert.equal(ask(exec("id")), "allow");
  reload(
    "{}",
    'rate_limits: [{ per: team, tool: x, limit: 9, window: 1h }, { per: agent, limit: 2, window: "60m" }]',
  );
  assert.equal(ask(exec("id")), LIMITED);
  reload("rate_limits: [{ per: agent, limit: 1000, window: 1h }]");
  assert.equal(ask(exec("id")), LIMITED);
});

Deno.test("of two equal declarations the smaller limit counts, once, whichever comes first", () => {
  const limits = [9, 1].map((limit) =>
    `rate_limits: [{ per: agent, limit: ${limit}, window: 1h }]`
  );
  for (const texts of [limits, limits.toReversed()]) {
    const { ask } = gateway(...texts);
    assert.deepEqual([ask(exec("id")), ask(exec("id"))], ["allow", LIMITED]);
  }
});

Deno.test("documents of two scopes each keep their own bucket", () => {
  const { ask } = gateway(
    "rate_limits: [{ per: org, limit: 2, window: 1h }]",
    "scope: team:t1\nrate_limits: [{ per: org, limit: 1, window: 1h }]",
  );
  assert.deepEqual([agent(), agent(), OTHER_TEAM, OTHER_TEAM].map((one) => ask(exec("id"), one)), [
    "allow",
    LIMITED,
    "allow",
    LIMITED,
  ]);
});

Deno.test("tools an agent invents do not use up the room of its declared limits", () => {
  const buckets = new RateBuckets({ max_buckets: 100, max_buckets_per_scope: 5 });
  for (let at = 0; at < 9; at++) {
    const hour = { limit: 1, window_ms: 3_600_000 };
    buckets.take([{ scope: "f".repeat(32), bucket: `t${at}`, ...hour }], 0);
  }
  const policy = directory("rate_limits: [{ per: agent, limit: 1, window: 1h }]");
  const rateTokens = (charge: Parameters<RateBuckets["tokens"]>[0]) => buckets.tokens(charge, 0);
  const { team_id: _, ...teamless } = agent();
  assert.equal(
    decide(policy, exec("id"), facts({ principal: teamless, rateTokens })).outcome,
    "allow",
  );
});

Deno.test("an explanation says whose bucket it was, and how long to wait", () => {
  const policy = directory(
    "rate_limits:\n  - { per: org, action: process_exec, limit: 60, window: 1h }",
  );
  const known = facts({ rateTokens: () => 0.5 });
  const decision = decide(policy, exec("id"), known);
  assert.equal(decision.rule?.path, "rate_limits[0]");
  const { considered, changes } = explain(policy, exec("id"), known, decision);
  assert.equal(
    considered.at(-1)?.detail,
    "0 of 60 calls an hour left in the bucket of the organisation",
  );
  assert.equal(
    changes[0]?.text,
    "wait 30 s, when the next such action is due under `rate_limits[0]` (60)",
  );
});

Deno.test("an explanation raises a declared limit of zero", () => {
  const policy = directory("rate_limits:\n  - { per: team, tool: pay, limit: 0, window: 1d }");
  const decision = decide(policy, call("pay"), facts());
  assert.equal(lineOf(decision), LIMITED);
  const { changes } = explain(policy, call("pay"), facts(), decision);
  assert.deepEqual(changes.map((change) => change.text), [
    "raise `rate_limits[0].limit` from 0 to at least 1",
  ]);
});

Deno.test("a wrong rate limit is refused with its place", () => {
  const problemsOf = (entry: string): string[] => {
    const loaded = loadPolicy("p.yaml", `rate_limits:\n  - ${entry}\n`);
    return loaded.ok
      ? []
      : loaded.problems.map(({ field, line, message }) => `${line} ${field}: ${message}`);
  };
  const good = "per: agent, limit: 1, window: 1h";
  assert.deepEqual(problemsOf(`{ ${good} }`), []);
  const cases: [entry: string, line: RegExp][] = [
    ["{ limit: 1, window: 1h }", /^2 rate_limits\[0\]\.per: is required/],
    ["{ per: agent, window: 1h }", /^2 rate_limits\[0\]\.limit: is required/],
    ["{ per: agent, limit: 1 }", /^2 rate_limits\[0\]\.window: is required/],
    ["{ per: user, limit: 1, window: 1h }", /\.per: must be one of 'agent', .*received `user`/],
    ["{ per: agent, limit: -1, window: 1h }", /\.limit: must be a whole number from 0/],
    ["{ per: agent, limit: 2000000, window: 1h }", /\.limit: must be a whole number from 0/],
    ["{ per: agent, limit: 1.5, window: 1h }", /\.limit: must be a whole number/],
    ["{ per: agent, limit: .nan, window: 1h }", /\.limit: must be a whole number/],
    ["{ per: agent, limit: 1, window: 10ms }", /\.window: must be from 1s to 31days/],
    ["{ per: agent, limit: 1, window: 1y }", /\.window: must be from 1s to 31days/],
    ["{ per: agent, limit: 1, window: soon }", /\.window: not a valid humantime duration/],
    [`{ ${good}, tool: "a*b*" }`, /\.tool: a tool may hold at most one `\*`/],
    [`{ ${good}, tool: "" }`, /\.tool: tool must not be empty/],
    [`{ ${good}, tool: x, action: process_exec }`, /\.action: must be 'tool_call' beside `tool`/],
    [`{ ${good}, tol: x }`, /unknown key `tol`: did you mean `tool`\?/],
    ["agent", /rate_limits\[0\]: must be a mapping/],
  ];
  for (const [entry, line] of cases) {
    const problems = problemsOf(entry);
    assert.equal(problems.length, 1, `${entry}: ${problems.join("; ")}`);
    assert.match(problems[0] ?? "", line);
  }
});

Deno.test("a declared limit changes a document's identity, and no list leaves it as it was", () => {
  const digestOf = (text: string): string => directory(text).documents[0]?.document.digest ?? "";
  const limit = (fields: string) => digestOf(`rate_limits: [{ per: agent, ${fields} }]`);
  const digests = [
    digestOf("{}"),
    digestOf("rate_limits: []"),
    limit("limit: 1, window: 1h"),
    limit("limit: 2, window: 1h"),
    limit("limit: 1, window: 2h"),
    limit("limit: 1, window: 1h, tool: x"),
    limit("limit: 1, window: 1h, action: tool_call"),
  ];
  assert.equal(new Set(digests).size, digests.length);
});
