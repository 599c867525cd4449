/**
 * Secrets without a known form, by the entropy of their bytes (contract `interception` §2.6).
 *
 * @module
 */
import { BASE64, CLASS, classAt, DIGIT, HEX, NON_ASCII, SPACE, TERMINATOR } from "../byte_class.ts";
import { CUTS_TOKEN, PAIR_SIGNS } from "../pair_table.ts";
import { Spans } from "../spans.ts";
import { characterBytes, type Utf8Text } from "../utf8.ts";
import { clearsBar, DISTINCT_MIN } from "./entropy_bar.ts";
import { findRunToken } from "./run_token.ts";

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
    if (at - run >= DISTINCT_MIN) findRunToken(bytes, run, at, spans);
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

/** Tokens that are one run of base64, wherever they stand: what is known of them without scoring. */
export function findRunTokens({ bytes, length }: Utf8Text, spans: Spans): void {
  let run = 0;
  for (let at = 0; at <= length; at++) {
    if (isBase64(bytes, at)) continue;
    if (at - run >= DISTINCT_MIN) findRunToken(bytes, run, at, spans);
    run = at + 1;
  }
}

/** Characters from which a run may be base64 of something worth looking behind. */
export const LONG_RUN_CHARS_MIN = 16;

/**
 * The same passes, woken where a walk over the text saw that one may find something. What they find
 * is the same as with {@linkcode findEntropy}, or {@linkcode findRunTokens} where nothing is scored.
 */
export class EntropyWatch {
  readonly #text: Utf8Text;
  readonly #scored: boolean;
  readonly spans: Spans = new Spans();
  /** Every run of {@linkcode LONG_RUN_CHARS_MIN} characters or more: its start, then its end. */
  readonly long_runs: number[] = [];
  readonly #splits: Split[] = [];
  /** End of the last token, run and long run that were judged. */
  #token_end = 0;
  #run_end = 0;
  #long_run_end = 0;
  /** Start of the right half of the last pair that was judged. */
  #pair = -1;

  /** @param scored Whether entropy is wanted, not only known forms. */
  constructor(text: Utf8Text, scored: boolean) {
    this.#text = text;
    this.#scored = scored;
  }

  /** Pass 3, and tokens that are one run, on the long run at a place; returns its end. */
  run(place: number): number {
    const { bytes } = this.#text;
    if (!isBase64(bytes, place)) return place;
    let from = place;
    while (from > this.#long_run_end && isBase64(bytes, from - 1)) from--;
    let end = place + 1;
    while (isBase64(bytes, end)) end++;
    this.#long_run_end = end;
    if (end - from < LONG_RUN_CHARS_MIN) return end;
    this.long_runs.push(from, end);
    if (end - from < DISTINCT_MIN) return end;
    if (this.#scored && clearsBar(bytes, from, end)) {
      this.spans.add("GenericHighEntropy", from, end);
    }
    findRunToken(bytes, from, end, this.spans);
    return end;
  }

  /** Passes 1, 2 and 4 on the token around a place; returns its end. */
  token(place: number): number {
    const { bytes } = this.#text;
    const from = this.#tokenStart(place);
    const end = this.#tokenEnd(place);
    this.#token_end = end;
    const size = end - from;
    if (size < DISTINCT_MIN) return end;
    if (size <= TOKEN_BYTES_MAX && clearsBar(bytes, from, end)) {
      reportToken(bytes, from, end, this.spans);
    }
    if (size >= HEX_DIGITS_MIN) this.#hexRuns(from, end);
    return end;
  }

  /** Start of the token around a place, two bytes at a time. */
  #tokenStart(place: number): number {
    const { bytes, pairs } = this.#text;
    const known = this.#token_end;
    let pair = place >> 1;
    while (
      pair * 2 > known && ((PAIR_SIGNS[pairs[pair - 1] as number] as number) & CUTS_TOKEN) === 0
    ) pair--;
    const from = pair * 2;
    return from > known && !cutsToken(bytes, from - 1) ? from - 1 : from;
  }

  /** End of the token around a place, two bytes at a time. */
  #tokenEnd(place: number): number {
    const { bytes, pairs } = this.#text;
    let pair = place >> 1;
    // INVARIANT: the padding behind the text cuts every token.
    while (((PAIR_SIGNS[pairs[pair] as number] as number) & CUTS_TOKEN) === 0) pair++;
    return cutsToken(bytes, pair * 2) ? pair * 2 : pair * 2 + 1;
  }

  /**
   * Passes 2 and 4. Looks at every 64th byte and walks back from there: where a byte that is no hex
   * comes before the last look, no run of 64 can hold both.
   */
  #hexRuns(from: number, end: number): void {
    const { bytes } = this.#text;
    let run = from;
    while (run + HEX_DIGITS_MIN <= end) {
      let at = run + HEX_DIGITS_MIN - 1;
      while (at >= run && isGroupedHex(bytes, at)) at--;
      if (at >= run) {
        run = at + 1;
        continue;
      }
      at = run + HEX_DIGITS_MIN;
      while (isGroupedHex(bytes, at)) at++;
      findHex(bytes, run, at, this.spans);
      run = at + 1;
    }
  }

  /** Notes the pairs of runs that the run at a place is half of; returns its end. */
  split(place: number): number {
    const { bytes, length } = this.#text;
    let inside = place;
    for (let back = 0; back < 4 && inside > 0 && !isBase64(bytes, inside); back++) inside--;
    if (inside >= length || !isBase64(bytes, inside) || inside < this.#run_end) return place;
    let from = inside;
    while (from > this.#run_end && isBase64(bytes, from - 1)) from--;
    let to = inside + 1;
    while (isBase64(bytes, to)) to++;
    this.#run_end = to;
    // How much the other half must have; one look at its far end rules out most.
    const missing = Math.max(1, DISTINCT_MIN - (to - from));
    const left_to = from > this.#pair ? cutBefore(bytes, from) : 0;
    if (left_to >= missing && isBase64(bytes, left_to - missing)) {
      let left_from = left_to;
      while (
        left_from > 0 && left_to - left_from <= TOKEN_BYTES_MAX && isBase64(bytes, left_from - 1)
      ) {
        left_from--;
      }
      this.#note(left_from, left_to, from, to);
    }
    const right_from = cutAfter(bytes, to);
    if (
      right_from > 0 && right_from + missing <= length && isBase64(bytes, right_from + missing - 1)
    ) {
      let right_to = right_from;
      while (right_to - right_from <= TOKEN_BYTES_MAX && isBase64(bytes, right_to)) right_to++;
      this.#note(from, to, right_from, right_to);
      this.#pair = right_from;
    }
    return to;
  }

  #note(left_from: number, left_to: number, right_from: number, right_to: number): void {
    const joined = left_to - left_from + right_to - right_from;
    if (
      joined >= DISTINCT_MIN && joined <= TOKEN_BYTES_MAX && left_to > left_from &&
      right_to > right_from &&
      clearsBar(this.#text.bytes, left_from, left_to, right_from, right_to)
    ) this.#splits.push({ left_from, left_to, right_from, right_to });
  }

  /** Pass 5, which yields to every other finding: to be called when all of them are known. */
  finish(spans: Spans): void {
    if (this.#splits.length > 0) reportSplits(this.#splits, spans);
  }
}

function isBase64(bytes: Uint8Array, at: number): boolean {
  return ((CLASS[bytes[at] as number] as number) & BASE64) !== 0;
}

/** A hex digit, `:` or `-`. */
function isGroupedHex(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at] as number;
  return ((CLASS[byte] as number) & HEX) !== 0 || byte === 0x3a || byte === 0x2d;
}

function cutsToken(bytes: Uint8Array, at: number): boolean {
  return ((CLASS[bytes[at] as number] as number) & (SPACE | NON_ASCII)) !== 0;
}

/** Start of the one character before `from` if it can cut a secret in two, or 0. */
function cutBefore(bytes: Uint8Array, from: number): number {
  let at = from - 1;
  while (at > 0 && from - at < 4 && ((bytes[at] as number) & 0xc0) === 0x80) at--;
  return at > 0 && isCut(bytes, at, from) ? at : 0;
}

/** End of the one character at `to` if it can cut a secret in two, or 0. */
function cutAfter(bytes: Uint8Array, to: number): number {
  if (!cutsToken(bytes, to)) return 0;
  return to + characterBytes(bytes[to] as number);
}

/**
 * Pass 1. The reference labels a scoring token up to its first terminator, even where that is a
 * lone brace and the secret stays (trap S4). Here the parts that score are labelled; where none
 * does alone, the first part is, as the vectors pin, if it is more than punctuation and the token has
 * a run in it that may be the secret.
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
  if (!scored && holdsBase64(bytes, token, first_end) && holdsCode(bytes, token, end)) {
    spans.add("GenericHighEntropy", token, first_end);
  }
}

const CODE_CHARS_MIN = 16;

/** A run of base64 with a digit in it: without one, a diverse token is source code. */
function holdsCode(bytes: Uint8Array, from: number, to: number): boolean {
  let chars = 0;
  let digits = 0;
  for (let at = from; at < to; at++) {
    const bits = classAt(bytes, at);
    if ((bits & BASE64) === 0) {
      chars = digits = 0;
      continue;
    }
    chars++;
    if ((bits & DIGIT) !== 0) digits++;
    if (chars >= CODE_CHARS_MIN && digits > 0) return true;
  }
  return false;
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
