/**
 * How unlikely a count is.
 *
 * @module
 */

/**
 * Exponent of the Chernoff bound of the Poisson tail: P(N >= seen) <= exp(-exponent) when `usual`
 * is the mean. Half the G statistic (log-likelihood ratio) of the same comparison. A binomial tail
 * with that mean obeys it, too.
 *
 * @returns 0 when `seen` is not above `usual`.
 */
export function surprise(seen: number, usual: number): number {
  if (!(seen > usual)) return 0;
  if (!(usual > 0)) return Infinity;
  return seen * Math.log(seen / usual) - seen + usual;
}

/** Exponent from which a count is rarer than one in a million. */
export const ONE_IN_A_MILLION = Math.log(1_000_000);
/** Exponent from which a count is rarer than one in a hundred thousand. */
export const ONE_IN_100_000 = Math.log(100_000);

/** A number for people: whole from 10 on, else at most two digits after the point. */
export function plainNumber(value: number): string {
  if (!Number.isFinite(value)) return "unknown";
  // By hand: the runtime's own grouping costs more than all the rest of looking at an action.
  if (value >= 10) return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, ",");
  return String(Math.round(value * 100) / 100);
}
