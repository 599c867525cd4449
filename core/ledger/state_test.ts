/** Laws of the ledger as a state machine. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Level } from "./account.ts";
import { DIMENSIONS, plus, ZERO } from "./amount.ts";
import { conservationProblem } from "./conservation.ts";
import { callOf, charge, HOUR_MS, NOON_MS, reserve, transactions } from "./ledger_fixture.ts";
import { LEDGER_LIMITS } from "./limits.ts";
import { LedgerState } from "./state.ts";
import {
  readAccount,
  readHead,
  readReservation,
  readTransaction,
  storedAccount,
  storedHead,
  storedReservation,
  storedTransaction,
} from "./stored.ts";
import {
  charged,
  postingsOf,
  refunded,
  released,
  reserved,
  settled,
  type Transaction,
} from "./transaction.ts";

const DAY_MS = 24 * HOUR_MS;

function stateAfter(...all: Transaction[]): LedgerState {
  const state = new LedgerState();
  for (const one of all) assert.deepEqual(state.apply(one), { ok: true }, one.kind);
  return state;
}

function refusalOf(state: LedgerState, transaction: Transaction): string {
  const before = fingerprint(state);
  const applied = state.apply(transaction);
  assert.equal(fingerprint(state), before, "a refused transaction changed the state");
  return applied.ok ? "applied" : applied.refusal;
}

function fingerprint(state: LedgerState): string {
  return JSON.stringify([
    storedHead(state),
    [...state.accounts.values()].map(storedAccount),
    [...state.open.values()].map(storedReservation),
  ]);
}

function usd(level: Level | undefined): [number, number] {
  return [level?.reserved.micro_usd ?? 0, level?.spent.micro_usd ?? 0];
}

Deno.test("every transaction sums to zero in every dimension", () => {
  const amounts = fc.record({
    micro_usd: fc.nat(1e9),
    tokens: fc.nat(1e9),
    calls: fc.nat(9),
    wall_ms: fc.nat(1e9),
  });
  fc.assert(fc.property(amounts, amounts, fc.nat(1e9), (worst, actual, late_ms) => {
    const call = callOf("r", worst, NOON_MS, { key: "a2", ancestors: ["a1"] });
    const movements = [
      reserved(call),
      charged(call),
      settled(call, actual, NOON_MS + late_ms),
      released(call),
      refunded(call),
    ];
    for (const movement of movements) {
      const sum = postingsOf(movement).reduce((all, posting) => plus(all, posting.amount), ZERO);
      for (const dimension of DIMENSIONS) assert.equal(Math.abs(sum[dimension]), 0);
    }
  }));
});

Deno.test("whatever is tried, money is conserved, and the same history gives the same state", () => {
  fc.assert(fc.property(transactions(), (all) => {
    const state = new LedgerState();
    const applied: Transaction[] = [];
    for (const one of all) {
      if (state.apply(one).ok) applied.push(one);
      assert.equal(conservationProblem(state), undefined);
    }
    const again = new LedgerState();
    for (const one of applied) {
      const stored = JSON.parse(JSON.stringify(storedTransaction(one)));
      assert.ok(again.apply(readTransaction(stored)).ok);
    }
    assert.equal(fingerprint(again), fingerprint(state));
    assert.equal(state.seq, applied.length);
  }));
});

Deno.test("a checkpoint reads back as it was written", () => {
  fc.assert(fc.property(transactions(), (all) => {
    const state = new LedgerState();
    for (const one of all) state.apply(one);
    for (const account of state.accounts.values()) {
      const stored = JSON.parse(JSON.stringify(storedAccount(account)));
      assert.deepEqual(readAccount(stored), account);
    }
    for (const held of state.open.values()) {
      assert.deepEqual(readReservation(JSON.parse(JSON.stringify(storedReservation(held)))), held);
    }
    assert.equal(readHead(JSON.parse(JSON.stringify(storedHead(state)))).seq, state.seq);
  }));
});

Deno.test("a stored form with anything more, less or other is refused by name", () => {
  const good = storedTransaction(reserve("r1", 5));
  const cases: readonly [unknown, RegExp][] = [
    [null, /`kind`/],
    [{ ...good, kind: "gift" }, /`kind`/],
    [{ ...good, extra: 1 }, /`transaction`/],
    [{ ...good, expires: -1 }, /`expires`/],
    [{ ...good, call: { ...good["call"] as object, amount: [1, 2, 3] } }, /`call.amount`/],
    [{ ...good, call: { ...good["call"] as object, amount: [1.5, 0, 0, 0] } }, /`call.amount`/],
    [{ ...good, call: { ...good["call"] as object, owners: ["x"] } }, /`call.owners`/],
  ];
  for (const [value, expected] of cases) assert.throws(() => readTransaction(value), expected);
});

Deno.test("a call is charged to agent, every ancestor, team, organisation and fleet", () => {
  const state = stateAfter(
    charge("r1", 5, NOON_MS, { key: "a3", ancestors: ["a1", "a2"] }),
    charge("r2", 7, NOON_MS, { key: "a1" }),
  );
  const spent = (owner: string) => state.account(owner)?.spent.micro_usd;
  assert.deepEqual(
    ["agent:a1", "agent:a2", "agent:a3", "subtree:a1", "subtree:a2", "subtree:a3"].map(spent),
    [7, undefined, 5, 12, 5, 5],
  );
  assert.deepEqual(["team:o1/t1", "org:o1", "global"].map(spent), [12, 12, 12]);
});

Deno.test("a settlement gives back what was not used, in the window it was reserved in", () => {
  const state = stateAfter(reserve("r1", 100));
  const day = () => usd(state.account("agent:a1")?.day("UTC", NOON_MS));
  assert.deepEqual(day(), [100, 0]);
  state.apply({
    kind: "settle",
    id: "r1",
    at_ms: NOON_MS + DAY_MS,
    actual: { ...ZERO, micro_usd: 30 },
  });
  assert.deepEqual(day(), [0, 30]);
  assert.deepEqual(usd(state.account("agent:a1")?.day("UTC", NOON_MS + DAY_MS)), [0, 0]);
});

Deno.test("a settlement above the reservation is spent in full, the surplus when it is known", () => {
  const state = stateAfter(reserve("r1", 100));
  state.apply({
    kind: "settle",
    id: "r1",
    at_ms: NOON_MS + DAY_MS,
    actual: { ...ZERO, micro_usd: 130 },
  });
  assert.deepEqual(usd(state.account("global")?.day("UTC", NOON_MS)), [0, 100]);
  assert.deepEqual(usd(state.account("global")?.day("UTC", NOON_MS + DAY_MS)), [0, 30]);
  assert.deepEqual(usd(state.account("global")?.month("UTC", NOON_MS)), [0, 130]);
});

Deno.test("a reservation ends once: what comes later is refused by name and changes nothing", () => {
  const end = (kind: "settle" | "release" | "expire"): Transaction =>
    kind === "settle"
      ? { kind, id: "r1", at_ms: NOON_MS, actual: ZERO }
      : { kind, id: "r1", at_ms: NOON_MS };
  for (const first of ["settle", "release", "expire"] as const) {
    const state = stateAfter(reserve("r1", 5), end(first));
    for (const second of ["settle", "release", "expire"] as const) {
      const word = { settle: "settled", release: "released", expire: "expired" }[first];
      assert.equal(refusalOf(state, end(second)), `already_${word}`, `${first} ${second}`);
    }
    assert.equal(refusalOf(state, reserve("r1", 5)), "duplicate_id");
  }
  assert.equal(refusalOf(new LedgerState(), end("settle")), "unknown_reservation");
});

Deno.test("a charge is given back once", () => {
  const state = stateAfter(charge("r1", 5), { kind: "release", id: "r1", at_ms: NOON_MS });
  assert.equal(state.account("global")?.spent.micro_usd, 0);
  assert.equal(refusalOf(state, { kind: "release", id: "r1", at_ms: NOON_MS }), "already_released");
});

Deno.test("negative, fractional and unbounded amounts are refused", () => {
  for (const units of [-1, 0.5, NaN, Infinity, LEDGER_LIMITS.amount_units + 1]) {
    const call = callOf("r1", { micro_usd: units });
    assert.equal(refusalOf(new LedgerState(), { kind: "charge", call }), "bad_amount");
    const state = stateAfter(reserve("r1", 5));
    const settle = { kind: "settle", id: "r1", at_ms: NOON_MS } as const;
    assert.equal(
      refusalOf(state, { ...settle, actual: { ...ZERO, micro_usd: units } }),
      "bad_amount",
    );
  }
});

Deno.test("a sum that would no longer be exact is refused", () => {
  const state = new LedgerState();
  let refused = 0;
  for (let n = 0; n < 9_100; n++) {
    if (!state.apply(charge(`r${n}`, LEDGER_LIMITS.amount_units)).ok) refused++;
  }
  assert.ok(refused > 0);
  assert.ok(Number.isSafeInteger(state.account("global")?.spent.micro_usd));
  assert.equal(conservationProblem(state), undefined);
});

Deno.test("a moment that is no time is refused", () => {
  for (const at_ms of [NaN, -1, Infinity, 1.5, Date.UTC(12_000, 0)]) {
    assert.equal(refusalOf(new LedgerState(), charge("r1", 1, at_ms)), "bad_time");
  }
});

Deno.test("B12: after a short window of an hour its spend is zero and the month's is kept", () => {
  const state = stateAfter({ kind: "window", window_ms: HOUR_MS, at_ms: NOON_MS });
  state.apply(charge("r1", 5));
  const spent = (at: number) => state.account("agent:a1")?.window(HOUR_MS, at).spent.micro_usd;
  assert.equal(spent(NOON_MS + HOUR_MS - 1), 5);
  assert.equal(spent(NOON_MS + HOUR_MS), 0);
  assert.equal(state.account("agent:a1")?.month("UTC", NOON_MS + HOUR_MS).spent.micro_usd, 5);
  state.apply(charge("r2", 3, NOON_MS + HOUR_MS));
  assert.equal(spent(NOON_MS + 2 * HOUR_MS - 1), 3);
});

Deno.test("a day ends at local midnight, also when it has 23 or 25 hours", () => {
  const zone = "Europe/Berlin";
  const midnight = Date.UTC(2026, 2, 28, 23);
  const state = stateAfter({ kind: "zone", zone, at_ms: midnight - 1 });
  state.apply(charge("r1", 1, midnight - 1));
  state.apply(charge("r2", 2, midnight));
  state.apply(charge("r3", 4, midnight + 23 * HOUR_MS - 1));
  state.apply(charge("r4", 8, midnight + 23 * HOUR_MS));
  const spent = (at: number) => state.account("agent:a1")?.day(zone, at).spent.micro_usd;
  assert.deepEqual(
    [midnight - 1, midnight, midnight + 23 * HOUR_MS - 1, midnight + 23 * HOUR_MS].map(spent),
    [1, 6, 6, 8],
  );
});

Deno.test("rolling days are today and the days before it", () => {
  const state = stateAfter(
    charge("r1", 1, NOON_MS),
    charge("r2", 2, NOON_MS + DAY_MS),
    charge("r3", 4, NOON_MS + 2 * DAY_MS),
  );
  const rolling = (days: number, at: number) =>
    state.account("agent:a1")?.rolling("UTC", days, at).spent.micro_usd;
  assert.equal(rolling(1, NOON_MS + 2 * DAY_MS), 4);
  assert.equal(rolling(2, NOON_MS + 2 * DAY_MS), 6);
  assert.equal(rolling(3, NOON_MS + 2 * DAY_MS), 7);
  assert.equal(rolling(3, NOON_MS + 3 * DAY_MS), 6);
});

Deno.test("trap 27: a zone that comes later takes over what was spent, and never gives room back", () => {
  // 23:30 UTC is already tomorrow in Berlin; the spend before it counts late, not never.
  const late = Date.UTC(2026, 2, 4, 23, 30);
  const state = stateAfter(charge("r1", 5, NOON_MS), reserve("r2", 7, NOON_MS));
  state.apply({ kind: "zone", zone: "Europe/Berlin", at_ms: late });
  const account = state.account("agent:a1");
  assert.deepEqual(usd(account?.day("Europe/Berlin", late)), [0, 5]);
  assert.deepEqual(usd(account?.month("Europe/Berlin", late)), [7, 5]);
  state.apply({ kind: "release", id: "r2", at_ms: late });
  assert.deepEqual(usd(account?.month("Europe/Berlin", late)), [0, 5]);
});

Deno.test("trap 28: months are counted before anybody limits them", () => {
  const state = stateAfter(charge("r1", 5, NOON_MS), charge("r2", 6, NOON_MS + 5 * DAY_MS));
  assert.equal(state.account("team:o1/t1")?.month("UTC", NOON_MS).spent.micro_usd, 11);
});

Deno.test("trap 33: a call counts for team, organisation and fleet alike", () => {
  const state = stateAfter(
    charge("r1", 5, NOON_MS, { key: "a1", team: "t1" }),
    charge("r2", 6, NOON_MS, { key: "b1", team: "t2" }),
  );
  assert.equal(state.account("org:o1")?.spent.micro_usd, 11);
  assert.equal(state.account("global")?.spent.micro_usd, 11);
});

Deno.test("a clock that jumps forth and back grants no window twice", () => {
  const jump = fc.integer({ min: -200, max: 200 }).map((days) => days * DAY_MS);
  const limit = 10;
  fc.assert(fc.property(fc.array(jump, { maxLength: 60 }), (jumps) => {
    const state = new LedgerState();
    const granted = new Map<string, number>();
    for (const [n, offset] of jumps.entries()) {
      const at_ms = NOON_MS + offset;
      const account = state.account("agent:a1");
      // Spend a whole day's limit whenever the ledger says that the day is empty.
      const room = limit - (account?.day("UTC", at_ms).spent.micro_usd ?? 0);
      if (room < limit) continue;
      state.apply(charge(`r${n}`, limit, at_ms));
      const date = new Date(at_ms).toISOString().slice(0, 10);
      granted.set(date, (granted.get(date) ?? 0) + 1);
    }
    for (const [date, times] of granted) assert.equal(times, 1, date);
  }));
});

Deno.test("what a short window granted before the clock was set back stays spent", () => {
  const state = stateAfter({ kind: "window", window_ms: HOUR_MS, at_ms: NOON_MS });
  const short = (at: number) =>
    state.account("agent:a1")?.window(HOUR_MS, state.steady(at)).spent.micro_usd ?? 0;
  state.apply(charge("r1", 5, NOON_MS));
  state.apply(charge("r2", 5, NOON_MS + DAY_MS));
  assert.equal(short(NOON_MS), 5, "back at noon the window of tomorrow is still the running one");
  state.apply(charge("r3", 2, NOON_MS));
  assert.equal(short(NOON_MS + 1), 7);
  assert.equal(short(NOON_MS + DAY_MS), 7);
});

Deno.test("days beyond the bound are dropped, and a clock set back to them finds no fresh day", () => {
  const state = new LedgerState();
  const days = LEDGER_LIMITS.day_buckets + 20;
  for (let n = 0; n < days; n++) state.apply(charge(`r${n}`, 1, NOON_MS + n * DAY_MS));
  const account = state.account("agent:a1");
  assert.equal(account?.days.get("UTC")?.levels.size, LEDGER_LIMITS.day_buckets);
  assert.ok((account?.day("UTC", NOON_MS).spent.micro_usd ?? 0) > 0);
  assert.equal(conservationProblem(state), undefined);
});

Deno.test("one more zone, window length or open reservation than the bound is refused", () => {
  const zones = Intl.supportedValuesOf("timeZone").slice(0, LEDGER_LIMITS.time_zones);
  const state = new LedgerState();
  const answers = zones.map((zone) => state.apply({ kind: "zone", zone, at_ms: 0 }));
  assert.deepEqual(answers.at(-1), { ok: false, refusal: "too_many_zones" });
  for (let n = 0; n < LEDGER_LIMITS.window_lengths; n++) {
    assert.ok(state.apply({ kind: "window", window_ms: n + 1, at_ms: 0 }).ok);
  }
  assert.equal(
    refusalOf(state, { kind: "window", window_ms: 9_999, at_ms: 0 }),
    "too_many_windows",
  );
  assert.equal(refusalOf(state, { kind: "zone", zone: "No/Where", at_ms: 0 }), "unknown_zone");
});

Deno.test("ended reservations are forgotten at the bound, and then unknown", () => {
  const state = new LedgerState();
  for (let n = 0; n <= LEDGER_LIMITS.closed_reservations; n++) state.apply(charge(`r${n}`, 1));
  const release = (id: string): Transaction => ({ kind: "release", id, at_ms: NOON_MS });
  assert.equal(refusalOf(state, release("r0")), "unknown_reservation");
  assert.ok(state.apply(release("r1")).ok);
});
