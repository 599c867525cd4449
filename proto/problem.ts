/**
 * What is wrong with a message that decoded but makes no sense.
 *
 * @module
 */

/** A message that says nothing the domain can act on; `field` is its dotted proto path. */
export interface WireProblem {
  readonly ok: false;
  readonly field: string;
  readonly message: string;
}

/** Characters of a received value shown in an error. */
const RECEIVED_CHARS_MAX = 64;

/** A received text, safe to print: bounded, control characters escaped, in backticks. */
export function received(text: string): string {
  const bounded = text.length > RECEIVED_CHARS_MAX ? `${text.slice(0, RECEIVED_CHARS_MAX)}…` : text;
  return `\`${JSON.stringify(bounded).slice(1, -1)}\``;
}
