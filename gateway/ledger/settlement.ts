/**
 * How a reservation ends by somebody's word. An agent's own word lowers the price of its call no
 * further than the estimate the reference would have charged, unless the policy trusts it (design
 * law 6); an operator's word counts as it is.
 *
 * @module
 */
import {
  type Amount,
  amountProblem,
  greatest,
  MODEL_PREFIX,
  type Refusal,
  type ReservedCall,
  ZERO,
} from "../../core/ledger/mod.ts";
import type { Ledger } from "./ledger.ts";

/** Who ends a reservation. */
export type Settler =
  | { readonly kind: "agent"; readonly agent_key: string }
  | { readonly kind: "operator" };

/** What a call took. */
export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cached_input_tokens: number;
  readonly wall_ms: number;
  /** The provider's bill. */
  readonly micro_usd?: number;
}

/** Why a reservation was not ended. Nothing changed then. */
export type SettlementRefusal = {
  readonly code: "invalid" | "not_found" | "not_yours" | "ended";
  readonly message: string;
};

/** What came of ending a reservation. */
export type Settlement =
  | { readonly ok: false; readonly refusal: SettlementRefusal }
  | {
    readonly ok: true;
    readonly outcome: "settled" | "repeated" | "late_overrun" | "released" | "estimate_kept";
    readonly call: ReservedCall;
    readonly charged: Amount;
    readonly raised_to_estimate: boolean;
    readonly durable: Promise<void>;
  };

/** Ends a reservation with what the call took. */
export function settle(
  ledger: Ledger,
  id: string,
  settler: Settler,
  usage: Usage,
  now_ms: number,
): Settlement {
  const found = find(ledger, id, settler);
  if ("refusal" in found) return { ok: false, refusal: found.refusal };
  const { call } = found;
  const stated = priceOf(ledger, call, usage);
  if (typeof stated === "string") return refuse("invalid", stated);
  const actual = settler.kind === "agent" ? greatest(stated, call.floor) : stated;
  const raised_to_estimate = !same(actual, stated);
  return end(ledger, call, actual, now_ms, { done: "settled", raised_to_estimate });
}

/** Ends a reservation of a call that did not happen. */
export function release(ledger: Ledger, id: string, settler: Settler, now_ms: number): Settlement {
  const found = find(ledger, id, settler);
  if ("refusal" in found) return { ok: false, refusal: found.refusal };
  const { call } = found;
  if (settler.kind === "agent" && !same(call.floor, ZERO)) {
    return end(ledger, call, call.floor, now_ms, {
      done: "estimate_kept",
      raised_to_estimate: true,
    });
  }
  const past = ledger.state.closed.get(id);
  if (past?.ending === "released" || past?.ending === "refunded") {
    return repeated(call, ZERO, false);
  }
  const booked = ledger.book({ kind: "release", id, at_ms: now_ms });
  if (!booked.ok) return refuse("ended", ended(booked.refusal));
  const { durable } = booked;
  return { ok: true, outcome: "released", call, charged: ZERO, raised_to_estimate: false, durable };
}

function end(
  ledger: Ledger,
  call: ReservedCall,
  actual: Amount,
  now_ms: number,
  as: { readonly done: "settled" | "estimate_kept"; readonly raised_to_estimate: boolean },
): Settlement {
  const { id } = call;
  const { raised_to_estimate } = as;
  const past = ledger.state.closed.get(id);
  if (past?.ending === "settled" && same(past.actual, actual)) {
    return repeated(call, actual, raised_to_estimate);
  }
  if (past?.ending === "expired") return late(ledger, call, actual, now_ms, raised_to_estimate);
  const booked = ledger.book({ kind: "settle", id, at_ms: now_ms, actual });
  if (!booked.ok) return refuse("ended", ended(booked.refusal));
  const { durable } = booked;
  return { ok: true, outcome: as.done, call, charged: actual, raised_to_estimate, durable };
}

/** After expiry nothing is given back; what was dearer than the reservation is still owed. */
function late(
  ledger: Ledger,
  call: ReservedCall,
  actual: Amount,
  now_ms: number,
  raised_to_estimate: boolean,
): Settlement {
  const charged = greatest(call.amount, actual);
  if (same(charged, call.amount)) return refuse("ended", ended("already_expired"));
  const booked = ledger.book({ kind: "overrun", id: call.id, at_ms: now_ms, actual: charged });
  if (!booked.ok) return refuse("ended", ended(booked.refusal));
  const { durable } = booked;
  return { ok: true, outcome: "late_overrun", call, charged, raised_to_estimate, durable };
}

function repeated(call: ReservedCall, charged: Amount, raised_to_estimate: boolean): Settlement {
  const durable = Promise.resolve();
  return { ok: true, outcome: "repeated", call, charged, raised_to_estimate, durable };
}

function find(
  ledger: Ledger,
  id: string,
  settler: Settler,
): { readonly call: ReservedCall } | { readonly refusal: SettlementRefusal } {
  const call = ledger.state.open.get(id)?.call ?? ledger.state.closed.get(id)?.call;
  if (call === undefined) {
    const message = "reservation_id: no reservation of this id is known; one that ended long ago " +
      "is forgotten";
    return { refusal: { code: "not_found", message } };
  }
  if (settler.kind === "agent" && settler.agent_key !== call.agent_key) {
    const message = "reservation_id: another agent made this reservation; only it may end it";
    return { refusal: { code: "not_yours", message } };
  }
  return { call };
}

/** What a call took, priced by the row it was reserved at; a text says what is wrong with it. */
function priceOf(ledger: Ledger, call: ReservedCall, usage: Usage): Amount | string {
  const { input_tokens, output_tokens, cached_input_tokens, wall_ms, micro_usd } = usage;
  for (const [field, value] of Object.entries(usage)) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue;
    return `${field}: must be a whole number from 0, received \`${value}\``;
  }
  const tokens = input_tokens + output_tokens + cached_input_tokens;
  let price = micro_usd;
  if (call.what.startsWith(MODEL_PREFIX)) {
    const listed = ledger.pricing.cost(call.what.slice(MODEL_PREFIX.length), {
      input: input_tokens,
      output: output_tokens,
      cached: cached_input_tokens,
    });
    if (listed === undefined) return "input_tokens, output_tokens: their price is out of bounds";
    price = Math.max(listed, micro_usd ?? 0);
  }
  const actual = {
    micro_usd: price ?? call.amount.micro_usd,
    tokens,
    calls: call.amount.calls,
    wall_ms,
  };
  return amountProblem(actual) ?? actual;
}

const ENDED: Partial<Record<Refusal, string>> = {
  already_settled: "it was settled with another amount before",
  already_released: "it was released before",
  already_expired: "it expired and was charged in full",
  already_charged: "it was charged when it was made, because the call did not say `aasm-settle: 1`",
};

function ended(refusal: Refusal): string {
  return `reservation cannot be ended: ${ENDED[refusal] ?? refusal.replaceAll("_", " ")}`;
}

function refuse(code: SettlementRefusal["code"], message: string): Settlement {
  return { ok: false, refusal: { code, message } };
}

function same(a: Amount, b: Amount): boolean {
  return a.micro_usd === b.micro_usd && a.tokens === b.tokens && a.calls === b.calls &&
    a.wall_ms === b.wall_ms;
}
