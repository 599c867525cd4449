/**
 * The brake on learning: what counts as usual may rise by a stated share a day and no faster, so an
 * agent that slowly does more and more is noticed before it has taught its detectors to look away.
 *
 * With 10 % a day and a threshold of three times the usual, ten times the usual takes at least
 * ln(10/3)/ln(1.1) = 12 days without any verdict; falling is not slowed.
 *
 * @module
 */
import { ANOMALY_LIMITS } from "./limits.ts";

const RISE_PER_DAY = 1 + ANOMALY_LIMITS.drift_percent_per_day / 100;

/** Share of a day's weight that is left a day later. */
export const DAILY_DECAY = 2 ** (-1 / ANOMALY_LIMITS.half_life_days);

/**
 * The reference for the next day.
 *
 * @param before Reference until now; `undefined` as long as nothing is settled.
 * @param measured What the data of the last days says.
 */
export function nextReference(before: number | undefined, measured: number): number {
  return before === undefined ? measured : Math.min(measured, before * RISE_PER_DAY);
}
