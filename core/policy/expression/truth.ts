/**
 * Three-valued logic (Kleene). `UNKNOWN` is what cannot be decided: a missing number, a failed
 * look-up, a comparison that makes no sense.
 *
 * At the top, unknown fires: approval is required. Without `NOT` this is exactly the reference's
 * rule "what cannot be evaluated counts as true", because `AND` and `OR` are monotone. With `NOT`,
 * counting it as true would let `NOT agent.depth > 3` pass an agent of unknown depth; here the
 * negation of unknown stays unknown, and fires.
 *
 * @module
 */

/** The clause does not hold. */
export const FALSE = 0;
/** Whether the clause holds cannot be told. */
export const UNKNOWN = 1;
/** The clause holds. */
export const TRUE = 2;

/** Ordered so that `AND` is the minimum and `OR` the maximum. */
export type Truth = typeof FALSE | typeof UNKNOWN | typeof TRUE;

/** The truth of a decided comparison. */
export function truthOf(holds: boolean): Truth {
  return holds ? TRUE : FALSE;
}

/** Negation; unknown stays unknown. */
export function not(truth: Truth): Truth {
  return truth === UNKNOWN ? UNKNOWN : truth === TRUE ? FALSE : TRUE;
}

/** Whether approval is required: everything but a decided "no". */
export function fires(truth: Truth): boolean {
  return truth !== FALSE;
}
