/** Which limits bind a call, and the one rule they are tested by. */
import assert from "node:assert/strict";
import { compileDocument } from "../policy/compiled_document.ts";
import { load } from "../policy/policy_fixture.ts";
import { type AncestorBudgets, boundLimits, findBreach } from "./admission.ts";
import { amount } from "./amount.ts";
import { charge, NOON_MS, principal, reserve } from "./ledger_fixture.ts";
import { ownersOf } from "./owner.ts";
import { LedgerState } from "./state.ts";

interface Ask {
  readonly texts: readonly string[];
  readonly micro_usd?: number;
  readonly tokens?: number;
  readonly key?: string;
  readonly ancestors?: readonly string[];
  readonly above?: readonly AncestorBudgets[];
  readonly at_ms?: number;
}

function documents(...texts: string[]) {
  return load(...texts).map((document, at) => compileDocument(document, at));
}

function ask(state: LedgerState, on: Ask): string {
  const owners = ownersOf(principal(on.key ?? "a1"), on.ancestors ?? []);
  const limits = boundLimits(owners, documents(...on.texts), on.above ?? []);
  const asked = amount({ micro_usd: on.micro_usd ?? 0, tokens: on.tokens ?? 0, calls: 1 });
  const breach = findBreach(state, limits, asked, on.at_ms ?? NOON_MS);
  return breach === undefined ? "room" : `${breach.owner} ${breach.line.path}: ${breach.reason}`;
}

function stateAfter(...all: Parameters<LedgerState["apply"]>[0][]): LedgerState {
  const state = new LedgerState();
  for (const one of all) assert.ok(state.apply(one).ok);
  return state;
}

const DAILY = "budget: { daily_limit_usd: 0.00001 }";

Deno.test("trap 31: one rule for every scope: what would pass a limit is refused, what reaches it is not", () => {
  const state = stateAfter(charge("r1", 6));
  for (
    const key of [
      "daily_limit_usd",
      "team_daily_limit_usd",
      "org_daily_limit_usd",
      "global_daily_limit_usd",
    ]
  ) {
    const texts = [`budget: { ${key}: 0.00001 }`];
    assert.equal(ask(state, { texts, micro_usd: 4 }), "room", key);
    assert.match(ask(state, { texts, micro_usd: 5 }), /daily budget exceeded/, key);
  }
});

Deno.test("what is reserved counts as if it were spent", () => {
  assert.match(ask(stateAfter(reserve("r1", 6)), { texts: [DAILY], micro_usd: 5 }), /exceeded/);
});

Deno.test("trap 32: the limits of every document of the cascade are tested together", () => {
  const texts = ["budget: { daily_limit_usd: 1 }", `scope: team:t1\n${DAILY}`];
  assert.match(ask(new LedgerState(), { texts, micro_usd: 11 }), /daily budget exceeded/);
  assert.equal(ask(new LedgerState(), { texts, micro_usd: 10 }), "room");
});

Deno.test("the month is named before the day", () => {
  const texts = [`budget: { daily_limit_usd: 0.00001, monthly_limit_usd: 0.00001 }`];
  assert.match(ask(new LedgerState(), { texts, micro_usd: 11 }), /monthly budget exceeded/);
  const split = ["budget: { daily_limit_usd: 0.00001 }", "budget: { monthly_limit_usd: 0.00001 }"];
  assert.match(ask(new LedgerState(), { texts: split, micro_usd: 11 }), /monthly budget exceeded/);
});

Deno.test("nobody escapes a limit through its children", () => {
  const state = stateAfter(charge("r1", 9, NOON_MS, { key: "a1" }));
  const above = [{ owner: "subtree:a1", budgets: documents(DAILY) }];
  const child = { key: "a2", ancestors: ["a1"], texts: [DAILY] };
  assert.equal(ask(state, { ...child, above, micro_usd: 1 }), "room");
  assert.equal(
    ask(state, { ...child, above, micro_usd: 2 }),
    "subtree:a1 daily_limit_usd: daily budget exceeded",
  );
});

Deno.test("a limit per agent counts its own calls alone, one per subtree those below it too", () => {
  const state = stateAfter(charge("r1", 9, NOON_MS, { key: "a2", ancestors: ["a1"] }));
  const own = "budget: { limits: { own: { usd: 0.00001 } } }";
  const tree = "budget: { limits: { tree: { per: subtree, usd: 0.00001 } } }";
  assert.equal(ask(state, { texts: [own], micro_usd: 5 }), "room");
  assert.equal(
    ask(state, { texts: [tree], micro_usd: 5 }),
    "subtree:a1 limits.tree.usd: daily budget exceeded",
  );
});

Deno.test("tokens, calls and rolling days have limits of their own", () => {
  const texts = [
    "budget: { limits: { t: { tokens: 10 }, c: { calls: 2, per: global }, r: { window: rolling, days: 2, usd: 0.00001 } } }",
  ];
  assert.match(ask(new LedgerState(), { texts, tokens: 11 }), /daily token budget exceeded/);
  const day = 86_400_000;
  const state = stateAfter(charge("r1", 6, NOON_MS - day), charge("r2", 1), charge("r3", 1));
  assert.match(ask(state, { texts }), /global limits.c.calls: daily call budget exceeded/);
  assert.match(ask(state, { texts, micro_usd: 3 }), /limits.r.usd: rolling budget exceeded/);
  assert.equal(ask(state, { texts, micro_usd: 2, at_ms: NOON_MS + day }), "room");
});

Deno.test("each document counts in its own time zone", () => {
  const zone = "Asia/Tokyo";
  const state = stateAfter({ kind: "zone", zone, at_ms: 0 }, charge("r1", 10));
  const tokyo = `budget: { daily_limit_usd: 0.00001, timezone: ${zone} }`;
  const evening = Date.UTC(2026, 2, 4, 15);
  assert.equal(ask(state, { texts: [tokyo], micro_usd: 1, at_ms: evening }), "room");
  assert.match(ask(state, { texts: [DAILY], micro_usd: 1, at_ms: evening }), /exceeded/);
});

Deno.test("an agent that never registered has limits, and no subtree", () => {
  const { registry_key: _, ...stranger } = principal("s1");
  const owners = ownersOf({ ...stranger, assurance: "asserted" }, []);
  assert.deepEqual(owners.subtrees, []);
  const limits = boundLimits(owners, documents(DAILY), []);
  assert.deepEqual(limits.map(({ owner }) => owner), [owners.agent]);
});

Deno.test("trap 29: one canonical key an agent; a claimed name never meets a proven one", () => {
  const { registry_key: _, ...stranger } = principal("s1");
  const claimed = ownersOf({ ...stranger, engine_key: "s1" }, []);
  assert.notEqual(claimed.agent, ownersOf(principal("s1"), []).agent);
});

Deno.test("teams of one name in two organisations are two teams", () => {
  const one = ownersOf(principal("a", "t/1", "o"), []);
  const other = ownersOf(principal("a", "1", "o/t"), []);
  assert.notEqual(one.team, other.team);
});
