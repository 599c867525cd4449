import assert from "node:assert/strict";
import fc from "fast-check";
import { llmCall } from "../action.ts";
import { decide } from "../policy/decide.ts";
import {
  agent,
  call,
  directory,
  exec,
  facts,
  file,
  NOON_MS,
  request,
} from "../policy/policy_fixture.ts";
import { actionOf, policyText } from "../policy/policy_arbitrary.ts";
import type { DecisionFact } from "./facts.ts";
import { coverHosts, coverPaths, GENERALISING } from "./generalise.ts";
import { type LearnedPolicy, learnPolicy } from "./learn.ts";
import type { Sighting } from "./observe.ts";
import { factOf, policyOf } from "./replay_fixture.ts";

const OPEN = "{}";

function learn(all: readonly DecisionFact[], base = OPEN, who?: string): Promise<LearnedPolicy> {
  return learnPolicy({
    facts: async function* () {
      yield await Promise.resolve({ facts: all, bytes: new Uint8Array() });
    },
    since_ms: 0,
    until_ms: Number.MAX_SAFE_INTEGER / 2,
    base: policyOf(base),
    breathe: () => Promise.resolve(),
    ...(who === undefined ? {} : { agent: who }),
  });
}

function ask(learned: LearnedPolicy, action: Parameters<typeof decide>[1]): string {
  const decision = decide(directory(learned.yaml), action, facts());
  return decision.outcome === "deny" ? decision.reason : decision.outcome;
}

Deno.test("what was seen is allowed, and nothing else is", async () => {
  const learned = await learn([
    call("search", { q: 1 }),
    file("read", "/repo/app/src/a.ts"),
    file("read", "/repo/app/test/b.ts"),
    request("https://api.example.com:443"),
  ].map((action) => factOf(action, [OPEN])));
  assert.equal(learned.covered, 4);
  assert.equal(ask(learned, call("search", { q: 2 })), "allow");
  assert.equal(ask(learned, file("read", "/repo/app/src/new.ts")), "allow");
  assert.equal(ask(learned, file("read", "/repo/other/a.ts")), "path not in filesystem allowlist");
  assert.equal(ask(learned, file("write", "/repo/app/src/a.ts")), "capability not in allow list");
  assert.equal(ask(learned, call("bash")), "capability not in allow list");
  assert.equal(ask(learned, exec("id")), "capability not in allow list");
  assert.equal(ask(learned, request("https://evil.example")), "host not in network allowlist");
});

Deno.test("nothing seen is a policy that denies everything", async () => {
  const learned = await learn([]);
  for (
    const action of [call("a"), exec("id"), file("read", "/a/b"), request("https://a.example")]
  ) {
    assert.notEqual(ask(learned, action), "allow");
  }
});

Deno.test("each rule says how often it was seen, and when first and last", async () => {
  const learned = await learn(
    [0, 1, 2].map((n) => factOf(call("search"), [OPEN], { at_ms: NOON_MS + n * 3_600_000 })),
  );
  assert.match(learned.yaml, /"search": # 3×, 2026-03-04T12:00Z to 2026-03-04T14:00Z/);
});

Deno.test("what was denied, or cannot be put into a rule, is listed with the reason", async () => {
  const base = "tools: { bash: { allow: false } }";
  const learned = await learn([
    factOf(call("bash"), [base]),
    factOf(call("bash"), [base]),
    factOf(file("read", "/etc"), [base]),
    factOf(call("*"), [base]),
    factOf(request("no-host"), [base]),
  ]);
  assert.equal(learned.covered, 0);
  const told = learned.left_out.map(({ what, count, why }) => `${count} ${what}: ${why}`);
  assert.ok(told.includes("2 tool bash: it was denied: tool denied by policy"), told.join("\n"));
  assert.ok(told.some((line) => /^1 file read \/etc: a rule for it would open/.test(line)));
  assert.ok(told.some((line) => /^1 tool \*: a policy cannot name it/.test(line)));
  assert.ok(told.some((line) => /^1 a network request: it names no host/.test(line)));
});

Deno.test("a condition of the policy in force stays a condition", async () => {
  const base = "tools: { pay: { allow: true, requires_approval_if: 'args.amount > 10' } }";
  const learned = await learn([
    factOf(call("pay", { amount: 5 }), [base]),
    factOf(call("pay", { amount: 50 }), [base], { approval: "granted" }),
  ], base);
  assert.equal(learned.covered, 2);
  assert.equal(ask(learned, call("pay", { amount: 5 })), "allow");
  assert.equal(ask(learned, call("pay", { amount: 50 })), "require_approval");
});

Deno.test("limits are what was seen with headroom: rate, and money a day", async () => {
  const all = Array.from(
    { length: 10 },
    (_, n) =>
      factOf(llmCall("gpt-4o", 1, false), [OPEN], { at_ms: NOON_MS + n, micro_usd: 100_000 }),
  );
  const { yaml } = await learn(all);
  assert.match(yaml, /limit_per_hour: 15/);
  assert.match(yaml, /daily_limit_usd: 1\.5/);
});

Deno.test("a policy learned for one agent governs it alone", async () => {
  const mine = factOf(call("a"), [OPEN]);
  const other = factOf(call("b"), [OPEN], { principal: agent({ agent_id: "b" }) });
  const learned = await learn([mine, other], OPEN, "a1");
  assert.equal(learned.facts, 1);
  assert.match(learned.yaml, /scope: "agent:00000000-0000-0000-0000-0000000000a1"/);
});

Deno.test("secrets once seen are redacted on; without any, they are blocked", async () => {
  const clean = await learn([factOf(call("a", { x: 1 }), [OPEN])]);
  assert.match(clean.yaml, /credential_action: block/);
  const seen = await learn([factOf(call("a", { mail: "x@y.example" }), [OPEN])]);
  assert.match(seen.yaml, /credential_action: redact_only/);
  assert.equal(seen.covered, 1);
});

Deno.test("a hostile tool name cannot write a rule or a comment of its own", async () => {
  const evil = 'x": { allow: true }\n  "bash';
  const learned = await learn([factOf(call(evil), [OPEN]), factOf(call("a # b: {"), [OPEN])]);
  assert.equal(learned.covered, 2);
  assert.equal(ask(learned, call("bash")), "capability not in allow list");
});

const SEEN: Sighting = { count: 1, first_ms: 0, last_ms: 0 };

Deno.test("paths widen to their longest common directory, never above the floor", () => {
  const cover = (...paths: string[]) =>
    coverPaths(new Map(paths.map((path) => [path, SEEN])), GENERALISING).subtrees
      .map(({ value }) => value);
  assert.deepEqual(cover("/w/a/x/1", "/w/a/x/2"), ["/w/a/x"]);
  assert.deepEqual(cover("/w/a/1", "/w/b/1"), ["/w/a/1", "/w/b/1"]);
  assert.deepEqual(cover("/w/a/1"), ["/w/a/1"]);
  assert.deepEqual(cover("/w/a", "/w/a/b/c"), ["/w/a"]);
  assert.deepEqual(cover("/", "/etc"), []);
});

Deno.test("hosts widen only from five under one parent of three labels", () => {
  const cover = (...hosts: string[]) =>
    coverHosts(new Map(hosts.map((host) => [host, SEEN])), GENERALISING).map(({ value }) => value);
  const under = (parent: string, n: number) =>
    Array.from({ length: n }, (_, i) => `h${i}.${parent}`);
  assert.deepEqual(cover(...under("eu.example.com", 5)), ["*.eu.example.com"]);
  assert.equal(cover(...under("eu.example.com", 4)).length, 4);
  assert.equal(cover(...under("co.uk", 9)).length, 9);
  assert.equal(cover(...Array.from({ length: 9 }, (_, n) => `10.0.0.${n}`)).length, 9);
});

Deno.test("law: a learned policy loads and allows each action it claims to cover", async () => {
  await fc.assert(fc.asyncProperty(
    policyText(["global"]),
    fc.array(actionOf(), { maxLength: 20 }),
    async (base, actions) => {
      const all = actions.map((action, n) => factOf({ ...action }, [base], { at_ms: NOON_MS + n }));
      const learned = await learn(all, base);
      const set = directory(learned.yaml);
      const allowed = all.filter(({ recorded }) => /allow|redact/.test(recorded.outcome));
      let passed = 0;
      for (const fact of allowed) {
        const action = actions[all.indexOf(fact)];
        if (action === undefined) continue;
        // Rates and money are carried; one at a time, in a fresh world, nothing may be in the way.
        const decision = decide(set, action, facts());
        if (decision.outcome === "allow") passed += 1;
      }
      assert.ok(learned.covered <= passed, `${learned.covered} claimed, ${passed} allowed`);
      const unclaimed = allowed.length - learned.covered;
      const told = learned.left_out.reduce((sum, { count }) => sum + count, 0);
      assert.ok(told >= unclaimed + (all.length - allowed.length));
    },
  ));
});
