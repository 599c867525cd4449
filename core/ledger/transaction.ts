/**
 * What the ledger records, and the double entry of each: every transaction moves quantities between
 * the three accounts of each owner, and its postings sum to zero in every dimension.
 *
 * @module
 */
import { type Amount, greatest, least, minus, plus, ZERO } from "./amount.ts";

/**
 * `available` is the other side of everything: what an owner has reserved or spent left it, so it
 * is zero or below, and the three always sum to zero.
 */
export type AccountKind = "available" | "reserved" | "spent";

/** One line of a transaction. */
export interface Posting {
  readonly owner: string;
  readonly account: AccountKind;
  /** Signed. */
  readonly amount: Amount;
}

/** What a reservation was made for and what it may cost at the least. */
export interface ReservedCall {
  readonly id: string;
  /** Moment of the reservation, milliseconds since the epoch: the days it counts in. */
  readonly at_ms: number;
  readonly agent_key: string;
  /** Every account it is charged to, each once. */
  readonly owners: readonly string[];
  readonly amount: Amount;
  /** The agent's own word brings the price no lower than this (contract §6.1: the prompt estimate). */
  readonly floor: Amount;
  /** Model or tool, for statements; never arguments. */
  readonly what: string;
}

/** One recorded transaction. */
export type Transaction =
  /** A settling caller's worst case is set aside until {@linkcode expires_at_ms}. */
  | { readonly kind: "reserve"; readonly call: ReservedCall; readonly expires_at_ms: number }
  /** Spent at once: who never settles. */
  | { readonly kind: "charge"; readonly call: ReservedCall }
  /** The true cost of a reservation; what is above it is spent at `at_ms`. */
  | {
    readonly kind: "settle";
    readonly id: string;
    readonly at_ms: number;
    readonly actual: Amount;
  }
  /** Nothing happened: a reservation or a charge is given back whole. */
  | { readonly kind: "release"; readonly id: string; readonly at_ms: number }
  /** Nobody settled in time: spent as reserved. */
  | { readonly kind: "expire"; readonly id: string; readonly at_ms: number }
  /** A settlement after expiry that was dearer than what was charged. */
  | {
    readonly kind: "overrun";
    readonly id: string;
    readonly at_ms: number;
    readonly actual: Amount;
  }
  /** Days are counted in one more time zone from here on. */
  | { readonly kind: "zone"; readonly zone: string; readonly at_ms: number }
  /** One more length of the short window is counted from here on. */
  | { readonly kind: "window"; readonly window_ms: number; readonly at_ms: number }
  /** An alert was told: not again in this window. */
  | {
    readonly kind: "latch";
    readonly owner: string;
    readonly limit: string;
    readonly window: string;
    /** 0 arms all thresholds again. */
    readonly threshold_pct: number;
    readonly at_ms: number;
  };

/** A change of one owner's counters in the windows of one moment. */
export interface Effect {
  /** Moment whose windows it counts in. */
  readonly at_ms: number;
  readonly reserved: Amount;
  readonly spent: Amount;
}

/** What a transaction does to each owner of a call. */
export interface Movement {
  readonly owners: readonly string[];
  readonly effects: readonly Effect[];
}

/** Moves the worst case aside. */
export function reserved(call: ReservedCall): Movement {
  return {
    owners: call.owners,
    effects: [{ at_ms: call.at_ms, reserved: call.amount, spent: ZERO }],
  };
}

/** Spends at once. */
export function charged(call: ReservedCall): Movement {
  return {
    owners: call.owners,
    effects: [{ at_ms: call.at_ms, reserved: ZERO, spent: call.amount }],
  };
}

/**
 * Ends a reservation with its true cost. What was foreseen counts where it was reserved; an overrun
 * counts when it became known, so that it closes the window that is running now.
 */
export function settled(call: ReservedCall, actual: Amount, at_ms: number): Movement {
  const foreseen = least(call.amount, actual);
  const first: Effect = {
    at_ms: call.at_ms,
    reserved: minus(ZERO, call.amount),
    spent: foreseen,
  };
  return { owners: call.owners, effects: [first, ...overrun(call, actual, at_ms).effects] };
}

/** What a true cost exceeds the reservation by, spent at `at_ms`. */
export function overrun(call: ReservedCall, actual: Amount, at_ms: number): Movement {
  const over = minus(greatest(call.amount, actual), call.amount);
  return { owners: call.owners, effects: [{ at_ms, reserved: ZERO, spent: over }] };
}

/** Gives a reservation back. */
export function released(call: ReservedCall): Movement {
  return {
    owners: call.owners,
    effects: [{ at_ms: call.at_ms, reserved: minus(ZERO, call.amount), spent: ZERO }],
  };
}

/** Gives a charge back. */
export function refunded(call: ReservedCall): Movement {
  return {
    owners: call.owners,
    effects: [{ at_ms: call.at_ms, reserved: ZERO, spent: minus(ZERO, call.amount) }],
  };
}

/** The double entry of a movement: three postings an owner and effect. */
export function postingsOf({ owners, effects }: Movement): Posting[] {
  const postings: Posting[] = [];
  for (const owner of owners) {
    for (const { reserved, spent } of effects) {
      postings.push(
        { owner, account: "reserved", amount: reserved },
        { owner, account: "spent", amount: spent },
        { owner, account: "available", amount: minus(ZERO, plus(reserved, spent)) },
      );
    }
  }
  return postings;
}
