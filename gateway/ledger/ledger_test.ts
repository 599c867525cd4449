/** The ledger deciding: conformance cases of group B, traps of §13.2, and its own promises. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { llmCall } from "../../core/action.ts";
import { LEDGER_LIMITS, teamOwner } from "../../core/ledger/mod.ts";
import { decide } from "../../core/policy/decide.ts";
import { compilePolicySet } from "../../core/policy/compile.ts";
import { call, load } from "../../core/policy/policy_fixture.ts";
import { DAY_MS, LedgerWorld, OPUS, START_MS } from "./ledger_fixture.ts";
import { release, settle } from "./settlement.ts";

/** A unit of these tests: a thousand prompt tokens of opus, 0.015 dollars. */
const UNIT = 1_000;
const UNIT_MICRO_USD = 15_000;

function settling(world: LedgerWorld, tokens: number, key = "a1") {
  const reserve = world.reserve(llmCall(OPUS, tokens, false), { key, settles: true });
  assert.equal(reserve.outcome, "reserved");
  return reserve;
}

const AGENT = { kind: "agent", agent_key: "a1" } as const;
const OPERATOR = { kind: "operator" } as const;

function usage(input_tokens: number, output_tokens = 0) {
  return { input_tokens, output_tokens, cached_input_tokens: 0, wall_ms: 0 };
}

Deno.test("B7: a cap of 10 units lets exactly 10 of 64 parallel calls through", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.15 }"]);
  const outcomes = await Promise.all(
    Array.from({ length: 64 }, async () => {
      await Promise.resolve();
      return world.call(UNIT);
    }),
  );
  assert.equal(outcomes.filter((word) => word === "reserved").length, 10);
  assert.equal(outcomes.filter((word) => word === "daily budget exceeded").length, 54);
  assert.equal(world.spent("agent:a1"), 10 * UNIT_MICRO_USD);
  world.assertConserved();
});

Deno.test("B8: an unknown model under a small cap is denied in the end", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.1 }"]);
  const outcomes = Array.from({ length: 5 }, () => world.call(UNIT, "a1", "never-heard-of"));
  assert.equal(outcomes[0], "reserved");
  assert.equal(outcomes.at(-1), "daily budget exceeded");
});

Deno.test("B9: what one agent spent of its team's limit denies its team mates, and no other team", async () => {
  const world = await LedgerWorld.open(["budget: { team_daily_limit_usd: 0.015 }"], [
    { key: "a1", team: "t1" },
    { key: "a2", team: "t1" },
    { key: "b1", team: "t2" },
  ]);
  assert.equal(world.call(UNIT, "a1"), "reserved");
  assert.equal(world.call(UNIT, "a2"), "daily budget exceeded");
  assert.equal(world.call(UNIT, "a1"), "daily budget exceeded");
  assert.equal(world.call(UNIT, "b1"), "reserved");
});

Deno.test("B12/gateway: after the window of an hour the short limit has room, the month is kept", async () => {
  const text = "budget: { window: 1h, daily_limit_usd: 0.015, monthly_limit_usd: 0.03 }";
  const world = await LedgerWorld.open([text]);
  assert.equal(world.call(UNIT), "reserved");
  assert.equal(world.call(UNIT), "daily budget exceeded");
  world.now_ms += 3_600_000;
  assert.equal(world.call(UNIT), "reserved");
  world.now_ms += 3_600_000;
  assert.equal(world.call(UNIT), "monthly budget exceeded");
});

Deno.test("B13: of 5, 5 and 1 under a limit of 10 the last is refused and nothing is spent for it", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.15 }"]);
  assert.deepEqual([5, 5, 1].map((units) => world.call(units * UNIT)), [
    "reserved",
    "reserved",
    "daily budget exceeded",
  ]);
  assert.equal(world.spent("agent:a1"), 10 * UNIT_MICRO_USD);
});

Deno.test("what goes through in observe mode is charged past the limit, and leaves no room afterwards", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.015 }"]);
  const action = llmCall(OPUS, UNIT, false);
  assert.equal(world.call(UNIT), "reserved");
  assert.equal(world.call(UNIT), "daily budget exceeded");
  assert.equal(world.reserve(action, { noted: true }).outcome, "reserved");
  assert.equal(world.spent("agent:a1"), 2 * UNIT_MICRO_USD);
  assert.equal(world.call(UNIT), "daily budget exceeded");
  world.assertConserved();
});

Deno.test("the read check sees what the ledger counts, in the document's own zone", async () => {
  const text = "budget: { daily_limit_usd: 0.015, timezone: Asia/Tokyo }";
  const world = await LedgerWorld.open([text]);
  const policy = compilePolicySet(load(text));
  const asked = () =>
    decide(policy, call("x"), {
      now_ms: world.now_ms,
      principal: world.principal("a1"),
      rateTokens: () => 1,
      spend: world.ledger.spend(world.principal("a1"), world.now_ms),
    }).reason;
  assert.equal(asked(), "");
  world.call(UNIT);
  assert.equal(asked(), "daily budget exceeded");
  world.now_ms = Date.UTC(2026, 2, 4, 15);
  assert.equal(asked(), "", "midnight in Tokyo is 15:00 UTC");
});

Deno.test("trap 26: the fleet's limit sums every agent; the agents' own stays theirs", async () => {
  const world = await LedgerWorld.open(
    ["budget: { daily_limit_usd: 0.03, global_daily_limit_usd: 0.045 }"],
    [{ key: "a1" }, { key: "b1", team: "t2" }],
  );
  assert.deepEqual(["a1", "a1", "a1", "b1", "b1"].map((key) => world.call(UNIT, key)), [
    "reserved",
    "reserved",
    "daily budget exceeded",
    "reserved",
    "daily budget exceeded",
  ]);
});

Deno.test("trap 27: organisation limits and the budget's time zone are applied", async () => {
  const world = await LedgerWorld.open(
    ["budget: { org_daily_limit_usd: 0.015, timezone: Asia/Tokyo }"],
    [{ key: "a1", team: "t1" }, { key: "b1", team: "t2" }, { key: "c1", org: "o2" }],
  );
  assert.equal(world.call(UNIT, "a1"), "reserved");
  assert.equal(world.call(UNIT, "b1"), "daily budget exceeded");
  assert.equal(world.call(UNIT, "c1"), "reserved");
  world.now_ms = Date.UTC(2026, 2, 4, 15);
  assert.equal(world.call(UNIT, "b1"), "reserved");
});

Deno.test("trap 28: a monthly limit that comes later counts what the month has seen", async () => {
  const before = await LedgerWorld.open(["{}"]);
  before.call(UNIT);
  await before.journal.close();
  const after = await LedgerWorld.open(
    ["scope: team:t1\nbudget: { team_monthly_limit_usd: 0.02 }"],
    [{ key: "a1" }],
    before.store,
    100,
  );
  assert.equal(after.call(UNIT), "monthly budget exceeded");
});

Deno.test("trap 29: an ancestor's own document binds what its descendants spend", async () => {
  const parent = "00000000-0000-0000-0000-0000000000aa";
  const key = parent.replaceAll("-", "");
  const world = await LedgerWorld.open(
    ["{}", `scope: agent:${parent}\nbudget: { daily_limit_usd: 0.03 }`],
    [{ key }, { key: "kid", parent: key }, { key: "grandkid", parent: "kid" }],
  );
  assert.deepEqual(["kid", "grandkid", "grandkid", key].map((one) => world.call(UNIT, one)), [
    "reserved",
    "reserved",
    "daily budget exceeded",
    "daily budget exceeded",
  ]);
});

Deno.test("trap 30: reserve, settle, release: only what was used stays spent", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 10 }"]);
  const reserved = settling(world, UNIT);
  const worst = UNIT_MICRO_USD + LEDGER_LIMITS.assumed_output_tokens * 75;
  assert.equal(reserved.outcome === "reserved" && reserved.micro_usd, worst);
  assert.equal(world.spent("global"), 0);
  assert.equal(world.ledger.state.account("global")?.reserved.micro_usd, worst);
  const done = settle(world.ledger, "r0", AGENT, usage(UNIT, 100), world.now_ms);
  assert.equal(done.ok && done.charged.micro_usd, UNIT_MICRO_USD + 7_500);
  assert.equal(world.spent("global"), UNIT_MICRO_USD + 7_500);
  settling(world, UNIT);
  assert.equal(release(world.ledger, "r1", OPERATOR, world.now_ms).ok, true);
  assert.equal(world.spent("global"), UNIT_MICRO_USD + 7_500);
  world.assertConserved();
});

Deno.test("trap 32: the narrowest document's limit is reserved against like the widest's", async () => {
  const world = await LedgerWorld.open([
    "budget: { daily_limit_usd: 100 }",
    "scope: org:o1\nbudget: { daily_limit_usd: 100 }",
    "scope: team:t1\nbudget: { daily_limit_usd: 0.015, action_on_exceed: suspend }",
  ]);
  assert.equal(world.call(UNIT), "reserved");
  const denied = world.reserve(llmCall(OPUS, UNIT, false));
  assert.ok(denied.outcome === "denied");
  assert.equal(denied.suspend, true);
  assert.equal(denied.rule?.path, "budget.daily_limit_usd");
  assert.match(denied.rule?.file ?? "", /p2/);
});

Deno.test("trap 33: a team that is full keeps nothing from its organisation's account", async () => {
  const world = await LedgerWorld.open(["budget: { team_daily_limit_usd: 0.015 }"]);
  world.call(UNIT);
  world.call(UNIT);
  for (const owner of ["agent:a1", "subtree:a1", teamOwner("o1", "t1"), "org:o1", "global"]) {
    assert.equal(world.spent(owner), UNIT_MICRO_USD, owner);
  }
});

Deno.test("trap 34: budget events are recorded, each threshold once a window", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.15 }"]);
  const told = async () => {
    await new Promise((resolve) => setTimeout(resolve, 0));
    return world.entries.splice(0).map(({ event_type, payload }) =>
      `${event_type} ${JSON.parse(payload).threshold_pct}`
    );
  };
  for (let n = 0; n < 7; n++) world.call(UNIT);
  assert.deepEqual(await told(), []);
  world.call(UNIT);
  assert.deepEqual(await told(), ["BudgetLimitApproached 80"]);
  world.call(UNIT);
  assert.deepEqual(await told(), []);
  world.call(UNIT);
  assert.deepEqual(await told(), ["BudgetLimitExceeded 100"]);
  world.call(UNIT);
  world.call(UNIT);
  assert.deepEqual(await told(), []);
  world.now_ms += DAY_MS;
  for (let n = 0; n < 8; n++) world.call(UNIT);
  assert.deepEqual(await told(), ["BudgetLimitApproached 80"]);
});

Deno.test("trap 34: an alert names agent, team, threshold, spend and limit, and is not told again after a restart", async () => {
  const texts = ["budget: { daily_limit_usd: 0.015 }"];
  const world = await LedgerWorld.open(texts);
  world.call(UNIT);
  await new Promise((resolve) => setTimeout(resolve, 0));
  const payload = JSON.parse(world.entries[0]?.payload ?? "{}");
  assert.deepEqual(
    [
      payload.agent_id,
      payload.team_id,
      payload.threshold_pct,
      payload.spent_usd,
      payload.limit_usd,
    ],
    ["a1", "t1", 100, "0.015000", "0.015000"],
  );
  await world.journal.close();
  const again = await LedgerWorld.open(texts, [{ key: "a1" }], world.store, 100);
  again.call(UNIT);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(again.entries, []);
});

Deno.test("trap 36: the organisation's row shows the organisation", async () => {
  const world = await LedgerWorld.open(["budget: { org_daily_limit_usd: 1 }"], [
    { key: "a1", org: "o1" },
    { key: "b1", org: "o2" },
  ]);
  world.call(UNIT, "a1");
  world.call(UNIT, "b1");
  world.call(UNIT, "b1");
  const rows = world.statements.accounts().flatMap((name) =>
    world.statements.rowsOf(name, world.now_ms)
  );
  const daily = (scope: string, id: string) =>
    rows.find((row) => row.scope === scope && row.id === id && row.window.kind === "daily")?.spent;
  assert.equal(daily("org", "o1"), UNIT_MICRO_USD);
  assert.equal(daily("org", "o2"), 2 * UNIT_MICRO_USD);
  assert.equal(daily("global", "global"), 3 * UNIT_MICRO_USD);
  assert.equal(rows.find((row) => row.id === "o1")?.limit, 1_000_000);
});

Deno.test("an agent's word brings its call no lower than the estimate of its prompt", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 10 }"]);
  settling(world, UNIT);
  const done = settle(world.ledger, "r0", AGENT, usage(0), world.now_ms);
  assert.ok(done.ok && done.raised_to_estimate);
  assert.equal(world.spent("global"), UNIT_MICRO_USD);
  settling(world, UNIT);
  const kept = release(world.ledger, "r1", AGENT, world.now_ms);
  assert.equal(kept.ok && kept.outcome, "estimate_kept");
  assert.equal(world.spent("global"), 2 * UNIT_MICRO_USD);
});

Deno.test("where the policy trusts agents, their release gives everything back", async () => {
  const world = await LedgerWorld.open([
    "budget: { daily_limit_usd: 10, agent_settlement: trusted }",
  ]);
  settling(world, UNIT);
  const done = release(world.ledger, "r0", AGENT, world.now_ms);
  assert.equal(done.ok && done.outcome, "released");
  assert.equal(world.spent("global"), 0);
  const strict = await LedgerWorld.open([
    "budget: { daily_limit_usd: 10, agent_settlement: trusted }",
    "scope: team:t1\nbudget: { agent_settlement: at_least_estimate, daily_limit_usd: 10 }",
  ]);
  settling(strict, UNIT);
  const kept = release(strict.ledger, "r0", AGENT, strict.now_ms);
  assert.equal(kept.ok && kept.outcome, "estimate_kept");
});

Deno.test("a settlement above the reservation counts in full and closes the limit", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 1 }"]);
  settling(world, UNIT);
  const done = settle(world.ledger, "r0", AGENT, usage(UNIT, 20_000), world.now_ms);
  assert.ok(done.ok);
  assert.equal(world.spent("global"), UNIT_MICRO_USD + 1_500_000);
  assert.equal(world.call(UNIT), "daily budget exceeded");
});

Deno.test("a repeated settlement changes nothing; another one is refused by name", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 10 }"]);
  settling(world, UNIT);
  const first = settle(world.ledger, "r0", AGENT, usage(UNIT, 10), world.now_ms);
  assert.equal(first.ok && first.outcome, "settled");
  const again = settle(world.ledger, "r0", AGENT, usage(UNIT, 10), world.now_ms);
  assert.equal(again.ok && again.outcome, "repeated");
  const other = settle(world.ledger, "r0", AGENT, usage(UNIT, 11), world.now_ms);
  assert.match(other.ok ? "" : other.refusal.message, /settled with another amount/);
  assert.equal(world.spent("global"), UNIT_MICRO_USD + 750);
});

Deno.test("only who reserved may end a reservation, and what nobody knows is not found", async () => {
  const world = await LedgerWorld.open(["{}"]);
  settling(world, UNIT);
  const other = { kind: "agent", agent_key: "b1" } as const;
  const refused = settle(world.ledger, "r0", other, usage(UNIT), world.now_ms);
  assert.equal(refused.ok ? "" : refused.refusal.code, "not_yours");
  const unknown = release(world.ledger, "r9", AGENT, world.now_ms);
  assert.equal(unknown.ok ? "" : unknown.refusal.code, "not_found");
  assert.equal(world.ledger.state.open.size, 1);
});

Deno.test("a usage that is no count is refused, and the reservation stays", async () => {
  const world = await LedgerWorld.open(["{}"]);
  settling(world, UNIT);
  for (const bad of [-1, NaN, 0.5, Infinity, 2 ** 53]) {
    const done = settle(world.ledger, "r0", AGENT, usage(bad), world.now_ms);
    assert.equal(done.ok ? "" : done.refusal.code, "invalid", String(bad));
  }
  assert.equal(world.ledger.state.open.size, 1);
});

Deno.test("an abandoned reservation is charged in full; a late word cannot lower it, only raise it", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 10 }"]);
  settling(world, UNIT);
  const worst = UNIT_MICRO_USD + LEDGER_LIMITS.assumed_output_tokens * 75;
  world.now_ms += LEDGER_LIMITS.reservation_ms - 1;
  world.expire();
  assert.equal(world.spent("global"), 0);
  world.now_ms += 1;
  world.expire();
  assert.equal(world.spent("global"), worst);
  for (const settler of [AGENT, OPERATOR]) {
    const late = settle(world.ledger, "r0", settler, usage(UNIT), world.now_ms);
    assert.match(late.ok ? "" : late.refusal.message, /expired and was charged in full/);
  }
  const dear = settle(world.ledger, "r0", AGENT, usage(UNIT, 5_000), world.now_ms);
  assert.equal(dear.ok && dear.outcome, "late_overrun");
  assert.equal(world.spent("global"), UNIT_MICRO_USD + 375_000);
  world.assertConserved();
});

Deno.test("who did not say that it settles was charged at once and cannot settle", async () => {
  const world = await LedgerWorld.open(["{}"]);
  world.call(UNIT);
  const done = settle(world.ledger, "r0", AGENT, usage(1), world.now_ms);
  assert.match(done.ok ? "" : done.refusal.message, /aasm-settle: 1/);
});

Deno.test("an answer that never left gives its charge back, once", async () => {
  const world = await LedgerWorld.open(["{}"]);
  const reserve = world.reserve(llmCall(OPUS, UNIT, false));
  assert.ok(reserve.outcome === "reserved");
  reserve.release();
  reserve.release();
  assert.equal(world.spent("global"), 0);
  world.assertConserved();
});

Deno.test("a preview spends nothing", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.015 }"]);
  const principal = world.principal("a1");
  const action = llmCall(OPUS, UNIT, false);
  const ask = {
    principal,
    record: undefined,
    action,
    now_ms: world.now_ms,
    trace_id: "",
    budgets: world.bindings.budgetsOf(principal, action),
    settles: false,
  };
  for (let n = 0; n < 3; n++) assert.equal(world.ledger.preview(ask).outcome, "reserved");
  assert.equal(world.ledger.state.seq, 0);
});

Deno.test("a tool with a price is charged like a model, and one without costs nothing", async () => {
  const world = await LedgerWorld.open([
    "budget: { daily_limit_usd: 0.02 }\ntools: { x: { allow: true, cost_usd: 0.01 }, y: { allow: true } }",
  ]);
  const use = (tool: string) => {
    const reserve = world.reserve(call(tool));
    return reserve.outcome === "denied" ? reserve.reason : reserve.outcome;
  };
  assert.deepEqual([use("x"), use("x"), use("x"), use("y")], [
    "reserved",
    "reserved",
    "daily budget exceeded",
    "free",
  ]);
});

Deno.test("limits of tokens, calls and time are reserved against", async () => {
  const denials = async (limit: string, tokens: number) => {
    const world = await LedgerWorld.open([`budget: { limits: { l: { ${limit} } } }`]);
    return [world.call(tokens), world.call(tokens)];
  };
  assert.deepEqual(await denials("tokens: 1500", 1_000), [
    "reserved",
    "daily token budget exceeded",
  ]);
  assert.deepEqual(await denials("calls: 1", 1_000), ["reserved", "daily call budget exceeded"]);
  assert.deepEqual(await denials("wall_seconds: 90", 1_000), [
    "reserved",
    "daily time budget exceeded",
  ]);
});

Deno.test("a price that is no amount is denied by name", async () => {
  const world = await LedgerWorld.open(["{}"]);
  assert.equal(world.call(2 ** 50), "call cannot be priced");
  assert.equal(world.call(NaN), "call cannot be priced");
  assert.equal(world.ledger.state.seq, 0);
});

Deno.test("a clock that shows no time denies what has a price", async () => {
  const world = await LedgerWorld.open(["{}"]);
  for (const now_ms of [NaN, -1, Infinity]) {
    world.now_ms = now_ms;
    assert.equal(world.call(UNIT), "budget ledger unavailable");
    assert.equal(world.ledger.spend(world.principal("a1"), now_ms).state, "unavailable");
  }
});

Deno.test("strangers beyond the bound share one account", async () => {
  const world = await LedgerWorld.open(["budget: { daily_limit_usd: 0.015 }"]);
  for (let n = 0; n < LEDGER_LIMITS.stranger_accounts; n++) world.call(UNIT, `stranger-${n}`);
  assert.equal(world.call(UNIT, "one-more"), "reserved");
  assert.equal(world.call(UNIT, "yet-another"), "daily budget exceeded");
  assert.equal(world.call(UNIT, "stranger-1"), "daily budget exceeded");
  assert.equal(world.ledger.state.accounts.size, LEDGER_LIMITS.stranger_accounts + 2);
});

Deno.test("whatever callers do in whatever order, no limit is ever passed", async () => {
  const limit = 100_000;
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("call" as const),
      key: fc.constantFrom("a1", "a2", "b1"),
      tokens: fc.integer({ min: 1, max: 3_000 }),
      settles: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("end" as const), at: fc.nat(30), output: fc.nat(4_000) }),
    fc.record({ kind: fc.constant("release" as const), at: fc.nat(30) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1_000, 700_000) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
      const world = await LedgerWorld.open(
        ["budget: { daily_limit_usd: 0.05, team_daily_limit_usd: 0.08, global_daily_limit_usd: 0.1 }"],
        [{ key: "a1" }, { key: "a2", parent: "a1" }, { key: "b1", team: "t2" }],
      );
      for (const one of steps) {
        if (one.kind === "call") {
          world.reserve(llmCall("gpt-4o", one.tokens, false), one);
        } else if (one.kind === "wait") {
          world.now_ms += one.ms;
          world.expire();
        } else if (one.kind === "end") {
          settle(world.ledger, `r${one.at}`, OPERATOR, usage(1, one.output), world.now_ms);
        } else {
          release(world.ledger, `r${one.at}`, AGENT, world.now_ms);
        }
        for (const [owner, most] of [["subtree:a1", 50_000], ["global", limit]] as const) {
          const level = world.ledger.state.account(owner)?.day("UTC", START_MS);
          const committed = (level?.spent.micro_usd ?? 0) + (level?.reserved.micro_usd ?? 0);
          assert.ok(committed <= most, `${owner} ${committed}`);
        }
        world.assertConserved();
      }
    }),
  );
});
