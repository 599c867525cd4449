/**
 * One walk that tells which of the dear passes a text needs. Almost every text needs none, and this
 * walk is then most of what a scan costs.
 *
 * @module
 */
import { CHAIN_END, CHAIN_NEXT, CHAIN_SPAN_BYTES_MAX } from "./detectors/digits.ts";
import { PREFIX_AUTOMATON } from "./detectors/prefix.ts";
import type { Utf8Text } from "./utf8.ts";

/** Some prefix stands in the text, whatever surrounds it. */
export const HAS_PREFIX = 1;
/** Some chain of digits is long enough for a card or social security number. */
export const HAS_DIGITS = 2;

const { classes, next, first_accepting, pattern_bytes_max } = PREFIX_AUTOMATON;
/** What one lane reads beyond its half, so that nothing hides across the middle. */
const OVERLAP = Math.max(pattern_bytes_max, CHAIN_SPAN_BYTES_MAX);

/**
 * Walks the text in two lanes, first and second half side by side: each step waits for the look-up
 * before it, and two independent lanes fill each other's waits.
 *
 * @returns Bits {@linkcode HAS_PREFIX} and {@linkcode HAS_DIGITS}; a bit that is not set is certain.
 */
export function sweep({ bytes, length }: Utf8Text): number {
  const middle = length >> 1;
  let prefix_1 = 0;
  let prefix_2 = 0;
  let digits_1 = 0;
  let digits_2 = 0;
  let found = 0;
  // INVARIANT: tables have a row for every state and a column for every class.
  for (let at = 0; at < middle; at++) {
    const byte_1 = bytes[at] as number;
    const byte_2 = bytes[middle + at] as number;
    prefix_1 = next[prefix_1 | (classes[byte_1] as number)] as number;
    prefix_2 = next[prefix_2 | (classes[byte_2] as number)] as number;
    digits_1 = CHAIN_NEXT[digits_1 | byte_1] as number;
    digits_2 = CHAIN_NEXT[digits_2 | byte_2] as number;
    if (prefix_1 >= first_accepting || prefix_2 >= first_accepting) found = HAS_PREFIX;
  }
  const end_1 = Math.min(length, middle + OVERLAP);
  for (let at = middle; at < end_1; at++) {
    const byte = bytes[at] as number;
    prefix_1 = next[prefix_1 | (classes[byte] as number)] as number;
    digits_1 = CHAIN_NEXT[digits_1 | byte] as number;
    if (prefix_1 >= first_accepting) found = HAS_PREFIX;
  }
  for (let at = middle * 2; at < length; at++) {
    const byte = bytes[at] as number;
    prefix_2 = next[prefix_2 | (classes[byte] as number)] as number;
    digits_2 = CHAIN_NEXT[digits_2 | byte] as number;
    if (prefix_2 >= first_accepting) found = HAS_PREFIX;
  }
  return digits_1 === CHAIN_END || digits_2 === CHAIN_END ? found | HAS_DIGITS : found;
}
