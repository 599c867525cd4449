/**
 * Where spend is heading. The method is the simplest honest one, and is stated with every figure:
 * the rate of the running window so far, carried on unchanged.
 *
 * @module
 */
import { dayOf, monthSpan } from "./calendar.ts";

/** The method, in words. */
export const FORECAST_METHOD =
  "linear: spend of the running month so far divided by the time since it began (at least one day), carried on to its end";

/** A forecast of one account's running month. Money in micro-dollars. */
export interface Forecast {
  readonly spent_micro_usd: number;
  /** Rate per day, rounded up. */
  readonly daily_rate_micro_usd: number;
  /** Spend at the end of the month at this rate. */
  readonly projected_micro_usd: number;
  readonly window_ends_at_ms: number;
  /** When the limit is reached at this rate; absent without a limit, or when it is not reached. */
  readonly limit_reached_at_ms?: number;
}

const DAY_MS = 86_400_000;

/**
 * Forecasts the running month.
 *
 * @param zone Time zone of the month.
 * @param spent_micro_usd Spend of the month so far.
 * @param limit_micro_usd Limit of the month; absent when there is none.
 */
export function forecastMonth(
  zone: string,
  now_ms: number,
  spent_micro_usd: number,
  limit_micro_usd?: number,
): Forecast {
  const { start_ms, end_ms } = monthSpan(zone, now_ms);
  const elapsed_ms = Math.max(DAY_MS, now_ms - start_ms);
  const left_ms = Math.max(0, end_ms - now_ms);
  const carried = share(spent_micro_usd, left_ms, elapsed_ms);
  const base = {
    spent_micro_usd,
    daily_rate_micro_usd: share(spent_micro_usd, DAY_MS, elapsed_ms),
    projected_micro_usd: Math.min(Number.MAX_SAFE_INTEGER, spent_micro_usd + carried),
    window_ends_at_ms: end_ms,
  };
  if (limit_micro_usd === undefined) return base;
  if (spent_micro_usd >= limit_micro_usd) return { ...base, limit_reached_at_ms: now_ms };
  if (spent_micro_usd === 0) return base;
  const until_ms = share(limit_micro_usd - spent_micro_usd, elapsed_ms, spent_micro_usd);
  return until_ms > left_ms ? base : { ...base, limit_reached_at_ms: now_ms + until_ms };
}

/** `value × part / whole`, rounded up, exact. */
function share(value: number, part: number, whole: number): number {
  const divisor = BigInt(Math.trunc(whole));
  const scaled = (BigInt(Math.trunc(value)) * BigInt(Math.trunc(part)) + divisor - 1n) / divisor;
  const bound = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(scaled < bound ? scaled : bound);
}

/** First day of the history that covers so many days up to now, as `YYYY-MM-DD` in a zone. */
export function today(zone: string, now_ms: number): string {
  return dayOf(zone, now_ms).date;
}
