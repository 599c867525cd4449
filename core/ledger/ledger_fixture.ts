/**
 * Shared by the tests of this folder: calls of a few agents, random transactions.
 *
 * @module
 */
import fc from "fast-check";
import { type Amount, amount } from "./amount.ts";
import { ownersOf } from "./owner.ts";
import type { ReservedCall, Transaction } from "./transaction.ts";
import type { Principal } from "../principal.ts";

/** Noon of a day in a month of 31. */
export const NOON_MS = Date.UTC(2026, 2, 4, 12);

/** An hour. */
export const HOUR_MS = 3_600_000;

/** A registered principal of team t1 (or another) in organisation o1. */
export function principal(key: string, team_id = "t1", org_id = "o1"): Principal {
  return {
    assurance: "bound",
    agent_id: key,
    engine_key: key.padStart(32, "0"),
    registry_key: key,
    org_id,
    team_id,
    status: "active",
  };
}

/** A call of an agent at a moment. */
export function callOf(
  id: string,
  cost: number | Partial<Amount>,
  at_ms = NOON_MS,
  who: { key?: string; team?: string; ancestors?: readonly string[] } = {},
): ReservedCall {
  const owners = ownersOf(principal(who.key ?? "a1", who.team), who.ancestors ?? []);
  const price = amount(typeof cost === "number" ? { micro_usd: cost, calls: 1 } : cost);
  return {
    id,
    at_ms,
    agent_key: owners.agent_key,
    owners: owners.all,
    amount: price,
    floor: amount({}),
    what: "model:gpt4o",
  };
}

/** A charge of an agent. */
export function charge(
  id: string,
  micro_usd: number,
  at_ms = NOON_MS,
  who: { key?: string; team?: string; ancestors?: readonly string[] } = {},
): Transaction {
  return { kind: "charge", call: callOf(id, micro_usd, at_ms, who) };
}

/** A reservation of an agent, held for ten minutes. */
export function reserve(
  id: string,
  micro_usd: number,
  at_ms = NOON_MS,
  who: { key?: string; team?: string; ancestors?: readonly string[] } = {},
): Transaction {
  return {
    kind: "reserve",
    call: callOf(id, micro_usd, at_ms, who),
    expires_at_ms: at_ms + 600_000,
  };
}

const AGENTS = [
  { key: "a1", team: "t1" },
  { key: "a2", team: "t1", ancestors: ["a1"] },
  { key: "a3", team: "t1", ancestors: ["a1", "a2"] },
  { key: "b1", team: "t2" },
] as const;

/** Random transactions: few ids, so that they often meet, and a clock that jumps both ways. */
export function transactions(): fc.Arbitrary<Transaction[]> {
  const id = fc.integer({ min: 0, max: 12 }).map((n) => `r${n}`);
  const at = fc.oneof(
    fc.integer({ min: 0, max: 400 }).map((hours) => NOON_MS + hours * HOUR_MS),
    fc.constantFrom(NOON_MS - 700 * 24 * HOUR_MS, NOON_MS + 700 * 24 * HOUR_MS),
  );
  const units = fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.constant(1_000_000_000_000));
  const cost = fc.record({ micro_usd: units, tokens: units, calls: units, wall_ms: units });
  const one: fc.Arbitrary<Transaction> = fc.oneof(
    fc.record({ id, at, cost, who: fc.constantFrom(...AGENTS) }).map(({ id, at, cost, who }) => ({
      kind: "reserve" as const,
      call: callOf(id, cost, at, who),
      expires_at_ms: at + 600_000,
    })),
    fc.record({ id, at, cost, who: fc.constantFrom(...AGENTS) }).map(({ id, at, cost, who }) => ({
      kind: "charge" as const,
      call: callOf(id, cost, at, who),
    })),
    fc.record({
      kind: fc.constantFrom("settle" as const, "overrun" as const),
      id,
      at_ms: at,
      actual: cost,
    }),
    fc.record({ kind: fc.constantFrom("release" as const, "expire" as const), id, at_ms: at }),
    fc.record({
      kind: fc.constant("zone" as const),
      zone: fc.constantFrom("Europe/Berlin", "Asia/Kathmandu", "UTC", "No/Where"),
      at_ms: at,
    }),
    fc.record({
      kind: fc.constant("window" as const),
      window_ms: fc.constantFrom(HOUR_MS, 90_000),
      at_ms: at,
    }),
    fc.record({
      kind: fc.constant("latch" as const),
      owner: fc.constantFrom("agent:a1", "global", "agent:nobody"),
      limit: fc.constant("agent daily@UTC micro_usd 5"),
      window: fc.constant("2026-03-04"),
      threshold_pct: fc.constantFrom(0, 80, 95, 100),
      at_ms: at,
    }),
  );
  return fc.array(one, { maxLength: 60 });
}
