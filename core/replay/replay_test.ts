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
import { actionOf, policyText, SCOPES } from "../policy/policy_arbitrary.ts";
import type { Spend } from "../policy/budget.ts";
import { compilePolicySet } from "../policy/compile.ts";
import type { DecisionFact } from "./facts.ts";
import { placeOf } from "./replay.ts";
import { factOf, policyOf, replay } from "./replay_fixture.ts";

const OPEN = "tools: { '*': { allow: true } }";
const NOTHING_SPENT: Spend = {
  state: "known",
  agent_daily_micro_usd: 0,
  agent_monthly_micro_usd: 0,
  team_daily_micro_usd: 0,
  team_monthly_micro_usd: 0,
  org_daily_micro_usd: 0,
  org_monthly_micro_usd: 0,
};
const SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";

Deno.test("the same policy on both sides flips nothing, even where redaction hid something", () => {
  const text = `
tools:
  pay: { allow: true, requires_approval_if: 'args.note contains "urgent" OR args.amount > 10' }
data: { sensitive_patterns: ["acct-[0-9]+"] }
network: { allowlist: ["a.example"] }
filesystem: { read: { allow: ["/repo/a/b"] } }
`;
  const all = [
    call("pay", { amount: 50 }),
    call("pay", { note: `key ${SECRET}` }),
    call("pay", { note: "acct-12" }),
    request(`https://${SECRET}/`),
    file("read", `/repo/${SECRET}/b`),
    exec(`curl ${SECRET}`),
  ].map((action) => factOf(action, [text]));
  const report = replay(all, policyOf(text), policyOf(text));
  assert.equal(report.flipped, 0);
  assert.equal(report.undecided, 0);
  assert.equal(report.same, all.length);
});

Deno.test("a flip names both rules with file and line, the agents and the money", () => {
  const before = "tools:\n  llm_call: { allow: true }\n";
  const after = "tools:\n  bash: { allow: true }\n  llm_call:\n    allow: false\n";
  const all = [1, 2, 3].map((n) =>
    factOf(llmCall("gpt-4o", 10, false), [before], {
      micro_usd: n * 1_000,
      principal: agent({ agent_id: n === 3 ? "b" : "a" }),
      at_ms: NOON_MS + n,
    })
  );
  const report = replay(all, policyOf(before), policyOf(after));
  assert.equal(report.flipped, 3);
  assert.equal(report.agents, 2);
  assert.equal(report.newly_refused_micro_usd, 6_000);
  assert.equal(report.newly_allowed_micro_usd, 0);
  const [flip] = report.flips;
  assert.ok(flip);
  assert.equal(flip.before.outcome, "allow");
  assert.equal(flip.after.outcome, "deny");
  assert.equal(placeOf(flip.after.rule), "p0.yaml:4:5 tools.llm_call.allow");
  assert.deepEqual(flip.agents, ["a", "b"]);
  assert.equal(flip.count, 3);
});

Deno.test("two runs give the same digest, and any other fact, window or policy another one", () => {
  const all = [call("a"), call("b")].map((action) => factOf(action, [OPEN]));
  const deny = "tools: { a: { allow: false } }";
  const first = replay(all, policyOf(OPEN), policyOf(deny));
  assert.match(first.digest, /^[0-9a-f]{64}$/);
  assert.equal(replay(all, policyOf(OPEN), policyOf(deny)).digest, first.digest);
  const others = [
    replay(all.slice(1), policyOf(OPEN), policyOf(deny)),
    replay(all, policyOf(OPEN), policyOf(OPEN)),
    replay(all, policyOf(OPEN), policyOf(deny), { since_ms: NOON_MS + 1 }),
    replay([...all].reverse(), policyOf(OPEN), policyOf(deny)),
  ].map(({ digest }) => digest);
  assert.equal(new Set([first.digest, ...others]).size, 5);
  // A window of another length that holds the same facts is the same run: `--since 7d`, twice.
  const again = replay(all, policyOf(OPEN), policyOf(deny), { since_ms: 5, until_ms: NOON_MS + 9 });
  assert.equal(again.digest, first.digest);
});

Deno.test("each side carries its own rate window", () => {
  const generous = "tools: { a: { allow: true, limit_per_hour: 5 } }";
  const tight = "tools: { a: { allow: true, limit_per_hour: 2 } }";
  const minute = 60_000;
  const all = [0, 1, 2, 3].map((n) =>
    factOf(call("a"), [generous], { at_ms: NOON_MS + n * minute })
  );
  const report = replay(all, policyOf(generous), policyOf(tight));
  assert.equal(report.flipped, 2);
  assert.equal(report.flips[0]?.after.reason, "rate limit exceeded");
  // An hour later two tokens have come back.
  const later = [...all, factOf(call("a"), [generous], { at_ms: NOON_MS + 64 * minute })];
  assert.equal(replay(later, policyOf(generous), policyOf(tight)).flipped, 2);
});

Deno.test("each side carries its own money, and a call without room for its price is refused", () => {
  const before = "budget: { daily_limit_usd: 10 }";
  const after = "budget: { daily_limit_usd: 2 }";
  const day = 24 * 3_600_000;
  const paid = (at_ms: number) =>
    factOf(llmCall("gpt-4o", 10, false), [before], { at_ms, micro_usd: 900_000 });
  const all = [0, 1, 2, 3].map((n) => paid(NOON_MS + n * 1_000));
  const report = replay([...all, paid(NOON_MS + day)], policyOf(before), policyOf(after));
  assert.equal(report.flipped, 2);
  assert.equal(report.newly_refused_micro_usd, 1_800_000);
  assert.equal(report.flips[0]?.after.reason, "daily budget exceeded");
  assert.match(placeOf(report.flips[0]?.after.rule), /p0\.yaml:1:\d+ budget\.daily_limit_usd/);
});

Deno.test("the budget's day ends at midnight of the document's time zone, through a clock change", () => {
  const text = (limit: number) => `budget: { daily_limit_usd: ${limit}, timezone: Europe/Berlin }`;
  // 2026-03-29 has 23 hours in Berlin: midnight is 23:00 UTC before it and 22:00 UTC after it.
  const at = (utc: string) =>
    factOf(llmCall("m", 1, false), [text(9)], { at_ms: Date.parse(utc), micro_usd: 1_000_000 });
  const flips = (...moments: string[]) =>
    replay(moments.map(at), policyOf(text(9)), policyOf(text(1))).flipped;
  assert.equal(flips("2026-03-28T23:30:00Z", "2026-03-29T21:30:00Z"), 1);
  assert.equal(flips("2026-03-28T22:30:00Z", "2026-03-28T23:30:00Z"), 0);
  assert.equal(flips("2026-03-29T21:30:00Z", "2026-03-29T22:30:00Z"), 0);
});

Deno.test("facts before the window warm accounts and rate windows up and are not reported", () => {
  const before = "tools: { a: { allow: true } }";
  const after = "tools: { a: { allow: true, limit_per_hour: 2 } }";
  const all = [0, 1, 2, 3].map((n) => factOf(call("a"), [before], { at_ms: NOON_MS + n }));
  const report = replay(all, policyOf(before), policyOf(after), { since_ms: NOON_MS + 3 });
  assert.deepEqual([report.facts, report.warm_up, report.flipped], [1, 3, 1]);
});

Deno.test("an approval that was given counts for the same call; a new one is a flip to pending", () => {
  const asks = "tools: { pay: { allow: true, requires_approval_if: 'args.amount > 10' } }";
  const stricter = "tools: { pay: { allow: true, requires_approval_if: 'args.amount > 5' } }";
  const granted = factOf(call("pay", { amount: 50 }), [asks], { approval: "granted" });
  const refused = factOf(call("pay", { amount: 50 }), [asks], { approval: "refused" });
  const free = factOf(call("pay", { amount: 7 }), [asks]);
  assert.equal(replay([granted], policyOf(asks), policyOf(stricter)).flipped, 0);
  const report = replay([granted, free], policyOf(asks), policyOf(stricter));
  assert.equal(report.flipped, 1);
  assert.equal(report.flips[0]?.after.outcome, "pending");
  const opened = replay([refused, granted], policyOf(asks), policyOf(OPEN));
  assert.equal(opened.flipped, 1);
  assert.deepEqual(
    [opened.flips[0]?.before.reason, opened.flips[0]?.after.outcome],
    ["approval refused", "allow"],
  );
});

Deno.test("redaction to block is a flip, decided without the secret itself", () => {
  const block = "data: { credential_action: block }";
  const fact = factOf(call("a", { token: SECRET }), [OPEN]);
  assert.doesNotMatch(JSON.stringify(fact), /ghp_a1B2/);
  assert.equal(fact.recorded.outcome, "redact");
  const report = replay([fact], policyOf(OPEN), policyOf(block));
  assert.equal(report.flips[0]?.after.reason, "credential detected");
});

Deno.test("a condition on what redaction hid is undecidable, and what stayed legible decides", () => {
  const under = (condition: string) =>
    policyOf(`tools: { a: { allow: true, requires_approval_if: '${condition}' } }`);
  const fact = factOf(call("a", { token: `Bearer ${SECRET}`, amount: 7 }), [OPEN]);
  const told = (condition: string): string => {
    const report = replay([fact], policyOf(OPEN), under(condition));
    return report.undecided === 1 ? "undecidable" : report.flips[0]?.after.outcome ?? "same";
  };
  assert.equal(told('args.token contains "prod"'), "undecidable");
  assert.equal(told(`args.token contains "ghp_"`), "undecidable");
  assert.equal(told('NOT args.token contains "prod"'), "undecidable");
  assert.equal(told('args.token starts_with "Bearer "'), "pending");
  assert.equal(told('args.token starts_with "Basic"'), "same");
  assert.equal(told('args.token == "x"'), "same");
  assert.equal(told('args.token != "x"'), "pending");
  assert.equal(told("args.token > 5"), "same");
  assert.equal(told('args.token contains "prod" AND args.amount > 10'), "same");
  assert.equal(told('args.token contains "prod" OR args.amount > 5'), "pending");
  assert.equal(told("args.amount > 10"), "same");
  assert.equal(told('args.other == "x"'), "same");
});

Deno.test("when redaction breaks the JSON, every condition on it is undecidable", () => {
  // The finding runs over the end of the text it started in.
  const under = "data: { sensitive_patterns: ['s1.*s2'] }\ntools: { '*': { allow: true } }";
  const fact = factOf(call("a", '{"x":"s1","amount":50,"y":"s2"}'), [under]);
  const asks = policyOf("tools: { a: { allow: true, requires_approval_if: 'args.amount > 10' } }");
  assert.equal(replay([fact], policyOf(OPEN), asks).undecided, 1);
});

Deno.test("a hidden host or path is undecidable only where a rule would have looked at it", () => {
  const url = factOf(request(`https://${SECRET}.example/`), [OPEN]);
  const query = factOf(request("https://a.example/p?card=4111111111111111"), [OPEN]);
  const lists = policyOf("network: { allowlist: ['a.example'] }");
  assert.equal(replay([url], policyOf(OPEN), lists).undecided, 1);
  assert.equal(replay([query], policyOf(OPEN), lists).flipped, 0);
  assert.equal(replay([query], policyOf(OPEN), lists).undecided, 0);
  const path = factOf(file("read", "/repo/a/4111111111111111/x"), [OPEN]);
  const reads = (allowed: string) => policyOf(`filesystem: { read: { allow: [${allowed}] } }`);
  assert.equal(replay([path], policyOf(OPEN), reads("/repo")).same, 1);
  assert.equal(replay([path], policyOf(OPEN), reads("/other")).flipped, 1);
  assert.equal(replay([path], policyOf(OPEN), reads("/repo/a/b")).undecided, 1);
  const climbing = factOf(file("read", "/repo/4111111111111111/../../etc"), [OPEN]);
  assert.equal(replay([climbing], policyOf(OPEN), reads("/repo")).flipped, 1);
});

Deno.test("a new pattern over a redacted text is undecidable; over a clean one it decides", () => {
  const under = "data: { sensitive_patterns: ['acct-[0-9]+'] }";
  const other = policyOf("data: { credential_action: block, sensitive_patterns: ['iban-[0-9]+'] }");
  const hidden = factOf(call("a", { note: "acct-12" }), [under]);
  const clean = factOf(call("a", { note: "nothing" }), [under]);
  const hit = factOf(call("a", { note: "iban-77" }), [under]);
  const report = replay([hidden, clean, hit], policyOf(under), other);
  assert.deepEqual([report.undecided, report.flipped, report.same], [1, 1, 1]);
});

Deno.test("what the base cannot see any more is taken as it was recorded under the same documents", () => {
  const base = "tools: { a: { allow: true, requires_approval_if: 'args.token contains \"zz\"' } }";
  const fact = factOf(call("a", { token: SECRET }), [base]);
  const deny = replay([fact], policyOf(base), policyOf("tools: { a: { allow: false } }"));
  assert.equal(deny.flipped, 1);
  assert.equal(deny.flips[0]?.before.outcome, "redact");
});

Deno.test("law: a replay without redaction says exactly what the decision function says", () => {
  fc.assert(fc.property(
    fc.array(policyText(SCOPES), { minLength: 1, maxLength: 3 }),
    fc.array(policyText(SCOPES), { minLength: 1, maxLength: 3 }),
    actionOf(),
    (before, after, action) => {
      const fact: DecisionFact = {
        ...factOf(action, before),
        action,
      };
      if (fact.hidden !== undefined) return;
      const report = replay([fact], policyOf(...before), policyOf(...after));
      const word = (texts: string[]) => {
        const decision = decide(directory(...texts), action, facts({ spend: NOTHING_SPENT }));
        if (decision.outcome === "require_approval") return "pending";
        return decision.redacted === undefined ? decision.outcome : "redact";
      };
      assert.equal(report.undecided, 0);
      assert.equal(report.flipped, word(before) === word(after) ? 0 : 1);
    },
  ));
});

Deno.test("law: what a replay decides of a redacted fact is what the whole text would have given", () => {
  const secret = fc.constantFrom(SECRET, "password=hunter2", "x@y.example", "plain");
  const field = fc.constantFrom("token", "note", "url");
  const literal = fc.constantFrom("Bearer", "ghp_", "plain", "hunter2", "x", "");
  const operator = fc.constantFrom("==", "!=", "contains", "starts_with");
  const condition = fc.tuple(fc.constantFrom("", "NOT "), field, operator, literal).map(
    ([no, name, op, value]) => `${no}args.${name} ${op} "${value}"`,
  );
  fc.assert(fc.property(
    fc.dictionary(
      field,
      fc.tuple(fc.constantFrom("", "Bearer ", "x "), secret).map((p) => p.join("")),
    ),
    fc.array(condition, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(" AND ", " OR "),
    fc.constantFrom("block", "redact_only", "alert_only"),
    (args, conditions, join, action) => {
      const base = "data: { sensitive_patterns: ['password=\\w+'] }";
      const proposed = `tools: { a: { allow: true, requires_approval_if: ${
        JSON.stringify(conditions.join(join))
      } } }\ndata: { credential_action: ${action}, sensitive_patterns: ['password=\\w+'] }`;
      const asked = call("a", args);
      const report = replay([factOf(asked, [base])], policyOf(base), policyOf(proposed));
      if (report.undecided === 1) return;
      const word = (text: string) => {
        const policy = compilePolicySet(policyOf(text).documents);
        const decision = decide(policy, asked, facts());
        if (decision.outcome === "require_approval") return "pending";
        return decision.redacted === undefined ? decision.outcome : "redact";
      };
      assert.equal(report.flipped, word(base) === word(proposed) ? 0 : 1);
    },
  ));
});
