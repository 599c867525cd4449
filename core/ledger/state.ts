/**
 * The whole ledger as a state machine: transactions go in one by one, and the same transactions
 * always give the same state. A restart replays them; nothing here reads a clock.
 *
 * @module
 */
import { Account, EMPTY } from "./account.ts";
import { type Amount, amountProblem, isZero, ZERO } from "./amount.ts";
import { dayOf } from "./calendar.ts";
import { LEDGER_LIMITS } from "./limits.ts";
import {
  charged,
  type Movement,
  overrun,
  postingsOf,
  refunded,
  released,
  reserved,
  type ReservedCall,
  settled,
  type Transaction,
} from "./transaction.ts";

/** A reservation that nobody has ended yet. */
export interface OpenReservation {
  readonly call: ReservedCall;
  readonly expires_at_ms: number;
  /** Moment of the reservation on the clock that never goes back. */
  readonly steady_ms: number;
}

/** How a reservation ended. */
export type Ending = "charged" | "settled" | "released" | "expired" | "refunded";

/** A reservation that has ended, remembered to answer a repeated settlement. */
export interface ClosedReservation {
  readonly call: ReservedCall;
  readonly ending: Ending;
  /** What it cost in the end. */
  readonly actual: Amount;
  readonly steady_ms: number;
}

/** Why a transaction cannot be applied. The state is unchanged then. */
export type Refusal =
  | "bad_time"
  | "bad_amount"
  | "duplicate_id"
  | "too_many_reservations"
  | "too_many_accounts"
  | "too_many_zones"
  | "too_many_windows"
  | "sum_overflow"
  | "unknown_reservation"
  | "already_settled"
  | "already_released"
  | "already_expired"
  | "already_charged"
  | "unknown_zone";

/** What came of a transaction. */
export type Applied = { readonly ok: true } | { readonly ok: false; readonly refusal: Refusal };

const DONE: Applied = { ok: true };

/** Zone whose days are always counted. */
export const UTC = "UTC";

/** First moment after the years a date of four digits can name. */
const TIME_END_MS = Date.UTC(9999, 11, 31);

/** The state of a ledger. */
export class LedgerState {
  readonly accounts = new Map<string, Account>();
  readonly open = new Map<string, OpenReservation>();
  readonly closed = new Map<string, ClosedReservation>();
  /** Owners whose accounts changed since whoever keeps them cleared this set. */
  readonly touched = new Set<string>();
  readonly zones: string[] = [UTC];
  readonly windows: number[] = [];
  /** Latest moment ever recorded: the clock that short windows run on never goes back. */
  steady_ms = 0;
  /** Transactions applied, ever. */
  seq = 0;

  /** The moment on the clock that never goes back. */
  steady(now_ms: number): number {
    return Math.max(now_ms, this.steady_ms);
  }

  /** An owner's account; `undefined` when nothing was ever charged to it. */
  account(owner: string): Account | undefined {
    return this.accounts.get(owner);
  }

  /** What {@linkcode apply} would refuse a transaction for. */
  refusal(transaction: Transaction): Refusal | undefined {
    if (!isTime(momentOf(transaction))) return "bad_time";
    switch (transaction.kind) {
      case "reserve":
        if (!isTime(transaction.expires_at_ms)) return "bad_time";
        if (this.open.size >= LEDGER_LIMITS.open_reservations) return "too_many_reservations";
        return this.#callRefusal(transaction.call, reserved(transaction.call));
      case "charge":
        return this.#callRefusal(transaction.call, charged(transaction.call));
      case "settle":
      case "overrun":
        return this.#actualRefusal(transaction);
      case "release":
        return this.#endRefusal(transaction.id, ["charged"]);
      case "expire":
        return this.#endRefusal(transaction.id, []);
      case "zone":
        return this.#zoneRefusal(transaction.zone);
      case "window":
        return this.windows.length >= LEDGER_LIMITS.window_lengths ? "too_many_windows" : undefined;
      case "latch":
        return this.accounts.has(transaction.owner) ? undefined : "unknown_reservation";
    }
  }

  /** Applies one transaction whole, or nothing of it. */
  apply(transaction: Transaction): Applied {
    const refusal = this.refusal(transaction);
    if (refusal !== undefined) return { ok: false, refusal };
    this.steady_ms = this.steady(momentOf(transaction));
    this.seq++;
    this.#book(transaction);
    return DONE;
  }

  #book(transaction: Transaction): void {
    switch (transaction.kind) {
      case "reserve": {
        const { call, expires_at_ms } = transaction;
        this.#move(reserved(call), this.steady_ms);
        this.open.set(call.id, { call, expires_at_ms, steady_ms: this.steady_ms });
        return;
      }
      case "charge":
        this.#move(charged(transaction.call), this.steady_ms);
        this.#remember(transaction.call, "charged", transaction.call.amount, this.steady_ms);
        return;
      case "settle":
        return this.#end(transaction.id, "settled", transaction.actual, transaction.at_ms);
      case "expire":
        return this.#end(transaction.id, "expired", undefined, transaction.at_ms);
      case "release":
        return this.#giveBack(transaction.id);
      case "overrun": {
        const past = this.closed.get(transaction.id);
        if (past === undefined) return;
        this.#move(overrun(past.call, transaction.actual, transaction.at_ms), this.steady_ms);
        this.#remember(past.call, "settled", transaction.actual, past.steady_ms);
        return;
      }
      case "zone":
        return this.#openZone(transaction.zone, transaction.at_ms);
      case "window":
        if (!this.windows.includes(transaction.window_ms)) this.windows.push(transaction.window_ms);
        return;
      case "latch": {
        const { owner, limit, window, threshold_pct } = transaction;
        this.accounts.get(owner)?.latches.set(limit, { window, threshold_pct });
        this.touched.add(owner);
        return;
      }
    }
  }

  #end(id: string, ending: Ending, actual: Amount | undefined, at_ms: number): void {
    const held = this.open.get(id);
    if (held === undefined) return;
    const cost = actual ?? held.call.amount;
    this.#move(settled(held.call, cost, at_ms), held.steady_ms);
    this.open.delete(id);
    this.#remember(held.call, ending, cost, held.steady_ms);
  }

  #giveBack(id: string): void {
    const held = this.open.get(id);
    if (held !== undefined) {
      this.#move(released(held.call), held.steady_ms);
      this.open.delete(id);
      this.#remember(held.call, "released", ZERO, held.steady_ms);
      return;
    }
    const past = this.closed.get(id);
    if (past === undefined) return;
    this.#move(refunded(past.call), past.steady_ms);
    this.#remember(past.call, "refunded", ZERO, past.steady_ms);
  }

  /**
   * Books a movement: postings on the lifetime balances, effects in the windows.
   *
   * @param steady_ms Moment of the reservation on the clock that never goes back.
   */
  #move(movement: Movement, steady_ms: number): void {
    for (const posting of postingsOf(movement)) this.#accountOf(posting.owner).post(posting);
    for (const owner of movement.owners) {
      const account = this.#accountOf(owner);
      this.touched.add(owner);
      for (const [at, effect] of movement.effects.entries()) {
        if (isZero(effect.reserved) && isZero(effect.spent)) continue;
        for (const zone of this.zones) account.countDay(zone, effect);
        // The first effect belongs to the moment of the reservation, a second one to the present.
        const moment = at === 0 && movement.effects.length > 0 ? steady_ms : this.steady_ms;
        for (const window_ms of this.windows) {
          account.countWindow(window_ms, effect, moment, this.steady_ms);
        }
      }
    }
  }

  #accountOf(owner: string): Account {
    let account = this.accounts.get(owner);
    if (account === undefined) this.accounts.set(owner, account = new Account(owner));
    return account;
  }

  /** Remembers how a reservation ended, as when a journal is read that was already counted. */
  recollect(call: ReservedCall, ending: Ending, actual: Amount): void {
    this.#remember(call, ending, actual, call.at_ms);
  }

  #remember(call: ReservedCall, ending: Ending, actual: Amount, steady_ms: number): void {
    this.closed.delete(call.id);
    this.closed.set(call.id, { call, ending, actual, steady_ms });
    if (this.closed.size <= LEDGER_LIMITS.closed_reservations) return;
    for (const oldest of this.closed.keys()) {
      this.closed.delete(oldest);
      break;
    }
  }

  /**
   * Starts counting a zone. What was spent before is taken over from the UTC days, each as the last
   * local day it touches: later than true, so that a new zone never gives room back (trap 27).
   */
  #openZone(zone: string, at_ms: number): void {
    if (this.zones.includes(zone)) return;
    this.zones.push(zone);
    for (const account of this.accounts.values()) {
      this.touched.add(account.owner);
      for (const [date, level] of account.days.get(UTC)?.levels ?? []) {
        const start_ms = Date.parse(`${date}T00:00:00Z`);
        const last_ms = Math.max(start_ms, Math.min(start_ms + DAY_MS - 1, at_ms));
        account.countDay(zone, { at_ms: last_ms, reserved: EMPTY.reserved, spent: level.spent });
      }
    }
    for (const { call } of this.open.values()) {
      const effect = { at_ms: call.at_ms, reserved: call.amount, spent: EMPTY.spent };
      for (const owner of call.owners) this.#accountOf(owner).countDay(zone, effect);
    }
  }

  #callRefusal(call: ReservedCall, movement: Movement): Refusal | undefined {
    if (amountProblem(call.amount) !== undefined) return "bad_amount";
    if (amountProblem(call.floor) !== undefined) return "bad_amount";
    if (this.open.has(call.id) || this.closed.has(call.id)) return "duplicate_id";
    if (new Set(call.owners).size !== call.owners.length || call.owners.length === 0) {
      return "bad_amount";
    }
    const added = call.owners.filter((owner) => !this.accounts.has(owner)).length;
    if (this.accounts.size + added > LEDGER_LIMITS.accounts) return "too_many_accounts";
    return this.#sumRefusal(movement);
  }

  #actualRefusal(transaction: Transaction & { readonly kind: "settle" | "overrun" }):
    | Refusal
    | undefined {
    const { id, actual, at_ms, kind } = transaction;
    if (amountProblem(actual) !== undefined) return "bad_amount";
    if (kind === "settle") {
      const refusal = this.#endRefusal(id, []);
      const held = this.open.get(id);
      if (refusal !== undefined || held === undefined) return refusal ?? "unknown_reservation";
      return this.#sumRefusal(settled(held.call, actual, at_ms));
    }
    const past = this.closed.get(id);
    if (past === undefined) return "unknown_reservation";
    if (past.ending !== "expired") return ENDED[past.ending];
    return this.#sumRefusal(overrun(past.call, actual, at_ms));
  }

  #endRefusal(id: string, endings: readonly Ending[]): Refusal | undefined {
    if (this.open.has(id)) return undefined;
    const past = this.closed.get(id);
    if (past === undefined) return "unknown_reservation";
    return endings.includes(past.ending) ? undefined : ENDED[past.ending];
  }

  #zoneRefusal(zone: string): Refusal | undefined {
    try {
      dayOf(zone, 0);
    } catch {
      return "unknown_zone";
    }
    return this.zones.length >= LEDGER_LIMITS.time_zones ? "too_many_zones" : undefined;
  }

  #sumRefusal({ owners, effects }: Movement): Refusal | undefined {
    for (const owner of owners) {
      const account = this.accounts.get(owner);
      if (account === undefined) continue;
      if (!effects.every((effect) => account.accepts(effect))) return "sum_overflow";
    }
    return undefined;
  }
}

const DAY_MS = 86_400_000;

const ENDED: Readonly<Record<Ending, Refusal>> = {
  charged: "already_charged",
  settled: "already_settled",
  released: "already_released",
  refunded: "already_released",
  expired: "already_expired",
};

/** The moment a transaction is recorded at. */
export function momentOf(transaction: Transaction): number {
  return transaction.kind === "reserve" || transaction.kind === "charge"
    ? transaction.call.at_ms
    : transaction.at_ms;
}

function isTime(at_ms: number): boolean {
  return Number.isSafeInteger(at_ms) && at_ms >= 0 && at_ms < TIME_END_MS;
}
