/**
 * What must always hold in a ledger, checked from the balances alone: when a state is loaded, after
 * every step of a simulation, and in tests.
 *
 * @module
 */
import { type Amount, DIMENSIONS, isZero, plus, ZERO } from "./amount.ts";
import { GLOBAL_OWNER, ownerKind } from "./owner.ts";
import type { LedgerState } from "./state.ts";

/**
 * The first law that a state breaks, in words; `undefined` when money is conserved:
 * the three balances of every account sum to zero; nothing reserved or spent is below zero; the
 * fleet is the sum of all agents; what is reserved is exactly what is open.
 */
export function conservationProblem(state: LedgerState): string | undefined {
  let spent = ZERO;
  let reserved = ZERO;
  for (const account of state.accounts.values()) {
    const { owner } = account;
    if (!isZero(plus(account.available, plus(account.reserved, account.spent)))) {
      return `the balances of \`${owner}\` do not sum to zero`;
    }
    if (isNegative(account.reserved) || isNegative(account.spent)) {
      return `a balance of \`${owner}\` is below zero`;
    }
    if (ownerKind(owner) !== "agent") continue;
    spent = plus(spent, account.spent);
    reserved = plus(reserved, account.reserved);
  }
  const fleet = state.account(GLOBAL_OWNER);
  if (!same(fleet?.spent ?? ZERO, spent)) return "agents and fleet have not spent the same";
  if (!same(fleet?.reserved ?? ZERO, reserved)) {
    return "agents and fleet have not reserved the same";
  }
  return reservationProblem(state);
}

/** Every account has reserved exactly what its open reservations hold. */
function reservationProblem(state: LedgerState): string | undefined {
  const held = new Map<string, Amount>();
  for (const { call } of state.open.values()) {
    for (const owner of call.owners) held.set(owner, plus(held.get(owner) ?? ZERO, call.amount));
  }
  for (const owner of held.keys()) {
    if (!state.accounts.has(owner)) return `\`${owner}\` has reservations and no account`;
  }
  for (const { owner, reserved } of state.accounts.values()) {
    if (!same(reserved, held.get(owner) ?? ZERO)) {
      return `\`${owner}\` has reserved something else than its open reservations`;
    }
  }
  return undefined;
}

function same(a: Amount, b: Amount): boolean {
  return DIMENSIONS.every((dimension) => a[dimension] === b[dimension]);
}

function isNegative(value: Amount): boolean {
  return DIMENSIONS.some((dimension) => value[dimension] < 0);
}
