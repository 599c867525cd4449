/**
 * The one walk over a text. It looks at two bytes at a time, without regard to what stands before
 * them, and wakes a detector where a sign shows; in ordinary text almost none does, and this walk
 * is then most of what a scan costs.
 *
 * @module
 */
import {
  AT_SIGN,
  CUTS_RUN,
  CUTS_TOKEN,
  DIGITS,
  ESCAPE,
  fitsPrefix,
  PAIR_SIGNS,
  PREFIX,
  QUOTE,
  WIDE,
} from "./pair_table.ts";
import type { Utf8Text } from "./utf8.ts";

/** What the walk wakes. Places ascend from call to call of the same method. */
export interface Watch {
  /** A pair of bytes may belong to a prefix. */
  prefix(at: number, pair: number): void;
  /** Eight bytes or more in a row may be digits and separators, and `at` is one of the last. */
  digits(at: number): void;
  /** One of the bytes at `at` and after it is `@`. */
  email(at: number): void;
  /** Twenty bytes around `at` are one token; returns where it ends. */
  token(at: number): number;
  /** Twelve bytes around `at` are base64; returns where their run ends. */
  run(at: number): number;
  /** Twenty bytes around `at` are base64 but for one character; returns where its run ends. */
  split(at: number): number;
  /** One of the eight bytes from `at` on starts escapes. */
  escape(at: number): void;
  /** A pair of bytes may belong to a character in disguise; true when it does. */
  wide(at: number): boolean;
}

/** `\`, `%` or `&` stands in the text. */
export const HAS_ESCAPE = 1;
/** A character that nobody sees, or that looks like ASCII, stands in the text. */
export const HAS_WIDE = 2;
/** A quote of source code stands in the text. */
export const HAS_QUOTE = 4;

const NOTABLE = PREFIX | AT_SIGN | WIDE;
const CUTS = CUTS_TOKEN | CUTS_RUN;
const CUTS_TOKEN_SUM = 0x0f;
/** Sums of {@linkcode CUTS} below this hold one pair at most that cuts a run. */
const TWO_CUTS = CUTS_RUN * 2;
/** Before the text: cut everywhere. */
const EDGE_HALF = CUTS * 2;

/**
 * Walks a text in blocks of four pairs.
 *
 * Whatever entropy can flag is 23 bytes at least without a cut, or 24 with one in it, and so covers
 * five neighbouring half blocks; sums over five half blocks therefore find all of it. The low digit
 * of a sum counts pairs that cut tokens, the high one pairs that cut runs; both stay below 16. In the
 * same way a run of 16 covers three.
 *
 * @param entropy Whether {@linkcode Watch.token} and {@linkcode Watch.split} are wanted.
 * @returns Bits {@linkcode HAS_ESCAPE}, {@linkcode HAS_WIDE}, {@linkcode HAS_QUOTE}; a bit that is not set is certain.
 */
export function sweep({ bytes, pairs, length }: Utf8Text, watch: Watch, entropy: boolean): number {
  // INVARIANT: the padding behind a text is wider than a block.
  const end = ((length + 7) >> 3) << 2;
  let seen = 0;
  let has_wide = false;
  let token_end = entropy ? 0 : Infinity;
  let run_end = token_end;
  let long_run_end = 0;
  // Sums of the second half two blocks back, of that block, of the last block and its second half.
  let half_4 = EDGE_HALF;
  let block_2 = EDGE_HALF * 2;
  let block_1 = EDGE_HALF * 2;
  let half_1 = EDGE_HALF;
  let digits_1 = 0;
  let digits_2 = 0;
  let digits_3 = 0;
  for (let at = 0; at < end; at += 4) {
    const signs_0 = PAIR_SIGNS[pairs[at] as number] as number;
    const signs_1 = PAIR_SIGNS[pairs[at + 1] as number] as number;
    const signs_2 = PAIR_SIGNS[pairs[at + 2] as number] as number;
    const signs_3 = PAIR_SIGNS[pairs[at + 3] as number] as number;
    const any = signs_0 | signs_1 | signs_2 | signs_3;
    seen |= any;
    const left = (signs_0 & CUTS) + (signs_1 & CUTS);
    const right = (signs_2 & CUTS) + (signs_3 & CUTS);
    if (block_1 + left < CUTS_RUN || half_1 + left + right < CUTS_RUN) {
      if (at * 2 >= long_run_end) long_run_end = watch.run(at * 2);
    }
    const sum_1 = block_2 + block_1 + left;
    const sum_2 = half_4 + block_1 + left + right;
    half_4 = half_1;
    block_2 = block_1;
    block_1 = left + right;
    half_1 = right;
    if ((sum_1 & CUTS_TOKEN_SUM) === 0 || (sum_2 & CUTS_TOKEN_SUM) === 0) {
      if (at * 2 >= token_end) token_end = watch.token(at * 2);
    }
    if (sum_1 < TWO_CUTS || sum_2 < TWO_CUTS) {
      if (at * 2 >= run_end) run_end = watch.split(at * 2);
    }
    const pair_01 = signs_0 & signs_1;
    const pair_23 = signs_2 & signs_3;
    const four = (pair_01 & pair_23) | (digits_1 & pair_01 & signs_2) |
      (digits_1 & digits_2 & pair_01) | (digits_1 & digits_2 & digits_3 & signs_0);
    digits_1 = signs_3;
    digits_2 = signs_2;
    digits_3 = signs_1;
    if ((four & DIGITS) !== 0) watch.digits(at * 2);
    if ((any & ESCAPE) !== 0) watch.escape(at * 2);
    if ((any & NOTABLE) === 0) continue;
    for (let pair = at; pair < at + 4; pair++) {
      const both = pairs[pair] as number;
      const signs = PAIR_SIGNS[both] as number;
      if ((signs & NOTABLE) === 0) continue;
      const place = pair * 2;
      if (
        (signs & PREFIX) !== 0 &&
        fitsPrefix(both, place === 0 ? 0 : bytes[place - 1] as number, bytes[place + 2] as number)
      ) watch.prefix(place, both);
      if ((signs & AT_SIGN) !== 0) watch.email(place);
      if ((signs & WIDE) !== 0 && !has_wide) has_wide = watch.wide(place);
    }
  }
  return ((seen & ESCAPE) === 0 ? 0 : HAS_ESCAPE) | (has_wide ? HAS_WIDE : 0) |
    ((seen & QUOTE) === 0 ? 0 : HAS_QUOTE);
}
