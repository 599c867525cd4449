/**
 * What the fuzzer reports: a promise of the module that did not hold.
 *
 * @module
 */

/** A broken promise; the text says which. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** @throws InvariantError when `condition` is false */
export function hold(condition: boolean, text: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof text === "string" ? text : text());
}
