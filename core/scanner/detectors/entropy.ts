/**
 * Secrets without a known form, by the entropy of their bytes (contract `interception` §2.6).
 *
 * @module
 */
import { BASE64, CLASS, classAt, HEX, NON_ASCII, SPACE, TERMINATOR } from "../byte_class.ts";
import type { Spans } from "../spans.ts";
import { characterBytes, type Utf8Text } from "../utf8.ts";
import { clearsBar, DISTINCT_MIN } from "./entropy_bar.ts";

/** Bytes of a candidate of the first and the last pass, at most. */
const TOKEN_BYTES_MAX = 64;
const HEX_DIGITS_MIN = 64;

/** Two base64 runs around one character. */
interface Split {
  readonly left_from: number;
  readonly left_to: number;
  readonly right_from: number;
  readonly right_to: number;
}

/**
 * Finds secrets by entropy. The text must have its own labels blanked.
 *
 * One walk serves all five passes of the contract: what they find is one kind and is united
 * afterwards, so only the last pass, which yields to every earlier finding, has to wait.
 */
export function findEntropy({ bytes, length }: Utf8Text, spans: Spans): void {
  let splits: Split[] | undefined;
  let token = 0;
  let run = 0;
  let grouped = 0;
  let left_from = 0;
  let left_to = 0;
  for (let at = 0; at <= length; at++) {
    // INVARIANT: the byte at `length` is a space, and the table has all 256 entries.
    const byte = bytes[at] as number;
    const bits = CLASS[byte] as number;
    if ((bits & BASE64) !== 0) continue;
    if (at > run) {
      const size = at - run;
      if (size >= DISTINCT_MIN && clearsBar(bytes, run, at)) {
        spans.add("GenericHighEntropy", run, at);
      }
      const joined = size + left_to - left_from;
      if (
        joined >= DISTINCT_MIN && joined <= TOKEN_BYTES_MAX && isCut(bytes, left_to, run) &&
        clearsBar(bytes, left_from, left_to, run, at)
      ) (splits ??= []).push({ left_from, left_to, right_from: run, right_to: at });
      left_from = run;
      left_to = at;
    }
    run = at + 1;
    if (byte === 0x3a) continue;
    if (at - grouped >= HEX_DIGITS_MIN) findHex(bytes, grouped, at, spans);
    grouped = at + 1;
    if ((bits & (SPACE | NON_ASCII)) === 0) continue;
    const size = at - token;
    if (size >= DISTINCT_MIN && size <= TOKEN_BYTES_MAX && clearsBar(bytes, token, at)) {
      reportToken(bytes, token, at, spans);
    }
    token = at + 1;
  }
  if (splits !== undefined) reportSplits(splits, spans);
}

/**
 * Pass 1. The reference labels a scoring token up to its first terminator, even where that is a
 * lone brace and the secret stays (trap S4). Here the parts that score are labelled; where none
 * does alone, the first part is, as the vectors pin, unless it is punctuation only.
 */
function reportToken(bytes: Uint8Array, token: number, end: number, spans: Spans): void {
  let first_end = -1;
  let scored = false;
  let from = token;
  for (let at = token; at <= end; at++) {
    if (at < end && (classAt(bytes, at) & TERMINATOR) === 0) continue;
    if (first_end < 0) first_end = at;
    if (clearsBar(bytes, from, at)) {
      spans.add("GenericHighEntropy", from, at);
      scored = true;
    }
    from = at + 1;
  }
  if (!scored && holdsBase64(bytes, token, first_end)) {
    spans.add("GenericHighEntropy", token, first_end);
  }
}

function holdsBase64(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((classAt(bytes, at) & BASE64) !== 0) return true;
  return false;
}

/**
 * Passes 2 and 4, within a stretch of base64 characters and colons: hex digits in a row, or in
 * groups joined by `:` and `-`, from the first digit to the last.
 */
function findHex(bytes: Uint8Array, from: number, to: number, spans: Spans): void {
  let digits = 0;
  let first = from;
  let last = from;
  for (let at = from; at <= to; at++) {
    const byte = at < to ? bytes[at] as number : 0;
    if (((CLASS[byte] as number) & HEX) !== 0) {
      if (digits === 0) first = at;
      digits++;
      last = at;
    } else if (byte !== 0x3a && byte !== 0x2d) {
      if (digits >= HEX_DIGITS_MIN) spans.add("GenericHighEntropy", first, last + 1);
      digits = 0;
    }
  }
}

/** Exactly one character, white space or outside ASCII, lies between the two places. */
function isCut(bytes: Uint8Array, from: number, to: number): boolean {
  const lead = bytes[from] as number;
  if (lead >= 0x80) return to - from === characterBytes(lead);
  return to - from === 1 && (classAt(bytes, from) & SPACE) !== 0;
}

/**
 * Pass 5: a secret cut in two by one character; the cut itself is kept. A half that overlaps an
 * earlier finding belongs to that one, and one half belongs to one secret.
 */
function reportSplits(splits: readonly Split[], spans: Spans): void {
  const covered = spans.covered();
  let next = 0;
  let taken_to = 0;
  for (const { left_from, left_to, right_from, right_to } of splits) {
    // Splits and covered ranges both ascend: one walk over both.
    while ((covered[next]?.end ?? Infinity) <= left_from) next++;
    if (left_from < taken_to || (covered[next]?.offset ?? Infinity) < right_to) continue;
    spans.add("GenericHighEntropy", left_from, left_to);
    spans.add("GenericHighEntropy", right_from, right_to);
    taken_to = right_to;
  }
}
