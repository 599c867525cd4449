/**
 * What is counted: money, tokens, calls and wall time, each a whole number. A micro-dollar is a
 * millionth of a US dollar; 2^53 of them are nine billion dollars, and no sum may pass that.
 *
 * @module
 */
import { LEDGER_LIMITS } from "./limits.ts";

/** The four dimensions, in the order of their stored form. */
export const DIMENSIONS = ["micro_usd", "tokens", "calls", "wall_ms"] as const;

/** One dimension. */
export type Dimension = (typeof DIMENSIONS)[number];

/** A quantity in every dimension. In postings it may be negative. */
export interface Amount {
  readonly micro_usd: number;
  readonly tokens: number;
  readonly calls: number;
  readonly wall_ms: number;
}

/** Nothing, in every dimension. */
export const ZERO: Amount = Object.freeze({ micro_usd: 0, tokens: 0, calls: 0, wall_ms: 0 });

/** An amount with only some dimensions. */
export function amount(parts: Partial<Amount>): Amount {
  return { ...ZERO, ...parts };
}

/** Sum of two amounts. */
export function plus(a: Amount, b: Amount): Amount {
  return {
    micro_usd: a.micro_usd + b.micro_usd,
    tokens: a.tokens + b.tokens,
    calls: a.calls + b.calls,
    wall_ms: a.wall_ms + b.wall_ms,
  };
}

/** Difference of two amounts. */
export function minus(a: Amount, b: Amount): Amount {
  return {
    micro_usd: a.micro_usd - b.micro_usd,
    tokens: a.tokens - b.tokens,
    calls: a.calls - b.calls,
    wall_ms: a.wall_ms - b.wall_ms,
  };
}

/** The smaller of two amounts, dimension by dimension. */
export function least(a: Amount, b: Amount): Amount {
  return {
    micro_usd: Math.min(a.micro_usd, b.micro_usd),
    tokens: Math.min(a.tokens, b.tokens),
    calls: Math.min(a.calls, b.calls),
    wall_ms: Math.min(a.wall_ms, b.wall_ms),
  };
}

/** The larger of two amounts, dimension by dimension. */
export function greatest(a: Amount, b: Amount): Amount {
  return {
    micro_usd: Math.max(a.micro_usd, b.micro_usd),
    tokens: Math.max(a.tokens, b.tokens),
    calls: Math.max(a.calls, b.calls),
    wall_ms: Math.max(a.wall_ms, b.wall_ms),
  };
}

/** Whether every dimension is zero. */
export function isZero(value: Amount): boolean {
  return value.micro_usd === 0 && value.tokens === 0 && value.calls === 0 && value.wall_ms === 0;
}

/**
 * Why a quantity cannot be charged; `undefined` when it can. `NaN`, fractions, negative numbers
 * and numbers past the bound are refused, never clamped: a clamp would turn a mistake into money.
 */
export function amountProblem(value: Amount): string | undefined {
  for (const dimension of DIMENSIONS) {
    const units = value[dimension];
    if (Number.isSafeInteger(units) && units >= 0 && units <= LEDGER_LIMITS.amount_units) continue;
    return `\`${dimension}\` must be a whole number from 0 to ${LEDGER_LIMITS.amount_units}, ` +
      `received \`${units}\``;
  }
  return undefined;
}

/** Whether every dimension of a running sum is still exact. */
export function isExact(value: Amount): boolean {
  return DIMENSIONS.every((dimension) => Number.isSafeInteger(value[dimension]));
}

/** The stored form: four numbers in the order of {@linkcode DIMENSIONS}. */
export type StoredAmount = readonly [number, number, number, number];

/** The stored form of an amount. */
export function storedAmount(value: Amount): StoredAmount {
  return [value.micro_usd, value.tokens, value.calls, value.wall_ms];
}

/** Reads the stored form; `undefined` for anything but four safe integers. */
export function readAmount(stored: unknown): Amount | undefined {
  if (!Array.isArray(stored) || stored.length !== DIMENSIONS.length) return undefined;
  const [micro_usd, tokens, calls, wall_ms] = stored as readonly unknown[];
  const read = { micro_usd, tokens, calls, wall_ms };
  return Object.values(read).every((units) => Number.isSafeInteger(units) && !Object.is(units, -0))
    ? read as Amount
    : undefined;
}
