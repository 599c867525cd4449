/**
 * When a limit is worth telling about: at 80 and 95 percent and when it is reached, each once a
 * window (contract `policy-and-gateway` §6.5; trap 34).
 *
 * @module
 */
import type { Latch } from "./account.ts";

/** Percentages that are told; 100 is the limit itself. */
export const THRESHOLDS_PCT = [80, 95, 100] as const;

/** How far spend must fall below a threshold before it is told again, in percent of the limit. */
export const HYSTERESIS_PCT = 5;

/**
 * Spend as a whole percentage of a limit, rounded half to even (contract §6.5): 79.5 is 80, 80.5
 * too. Exact: no floating point is involved.
 */
export function percentOf(spent: number, limit: number): number {
  if (limit <= 0) return 100;
  const scaled = BigInt(spent) * 100n;
  const divisor = BigInt(limit);
  const whole = scaled / divisor;
  const twice = (scaled % divisor) * 2n;
  const up = twice > divisor || (twice === divisor && whole % 2n === 1n);
  return Number(up ? whole + 1n : whole);
}

/** What to tell, and what to remember. */
export interface AlertStep {
  /** Highest threshold newly reached; absent when there is nothing to tell. */
  readonly tell?: (typeof THRESHOLDS_PCT)[number];
  /** The latch to remember; absent when it stays as it is. */
  readonly latch?: Latch;
}

/**
 * The next step of one limit's latch. Full is at or above the limit, unrounded: what rounds to 100
 * is not yet exceeded.
 *
 * @param before What was told; absent when nothing was.
 * @param window Name of the running window.
 * @param refused A call was just refused for want of room, however little is spent.
 */
export function alertStep(
  before: Latch | undefined,
  window: string,
  spent: number,
  limit: number,
  refused = false,
): AlertStep {
  const told = before?.window === window ? before.threshold_pct : 0;
  const percent = percentOf(spent, limit);
  const reached = refused || spent >= limit
    ? 100
    : THRESHOLDS_PCT.findLast((threshold) => threshold < 100 && percent >= threshold) ?? 0;
  if (reached !== 0 && reached > told) {
    return { tell: reached, latch: { window, threshold_pct: reached } };
  }
  if (told === 0 || refused) return {};
  // Spend fell (a settlement, a release): what it is clearly below may be told again.
  const kept =
    THRESHOLDS_PCT.findLast((threshold) =>
      threshold <= told && percent > threshold - HYSTERESIS_PCT
    ) ?? 0;
  return kept < told ? { latch: { window, threshold_pct: kept } } : {};
}
