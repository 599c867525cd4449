/**
 * How far the finding of a private key reaches (contract `interception` §2.3).
 *
 * @module
 */
import { BASE64, CLASS, classAt } from "../byte_class.ts";
import { SCANNER_LIMITS } from "../limits.ts";
import type { Utf8Text } from "../utf8.ts";

/** Characters in long base64 runs from which a body is a key for certain (a P-256 key has 160). */
const BODY_CHARS_CERTAIN = 100;
const RUN_CHARS_LONG = 20;
const END_LINE_BYTES_MAX = 128;

/** The PEM blocks of one text, asked for in ascending order. */
export class PemBlocks {
  readonly #text: Utf8Text;
  #end_marker = -1;
  #begin_marker = -1;

  constructor(text: Utf8Text) {
    this.#text = text;
  }

  /**
   * Where the finding of a key ends.
   *
   * The reference covers the whole block only when its last base64 run is short, and leaves every
   * other body to the entropy pass, which misses parts (trap S6). Here a body with enough base64
   * for a real key is covered too; short bodies stay as the vectors pin them.
   *
   * @param body First byte after the begin line.
   * @param terminator End of the finding when the block is not covered.
   */
  end(body: number, terminator: number): number {
    const end_marker = this.#nextEndMarker(body);
    const block_end = Math.min(end_marker, this.#nextBeginMarker(body));
    if (block_end === Infinity || block_end - body > SCANNER_LIMITS.key_block_bytes) {
      return terminator;
    }
    const runs = measureRuns(this.#text.bytes, body, block_end);
    const short_tail = runs.longest >= RUN_CHARS_LONG && runs.last >= 1 &&
      runs.last < RUN_CHARS_LONG;
    if (!short_tail && runs.in_long_runs < BODY_CHARS_CERTAIN) return terminator;
    const end = block_end === end_marker ? this.#endOfEndLine(end_marker) : block_end;
    return Math.max(end, terminator);
  }

  // Both markers are kept until passed: however many begin lines a text has, it is walked once.
  #nextEndMarker(from: number): number {
    if (this.#end_marker < from) this.#end_marker = findMarker(this.#text, from, "-----end ");
    return this.#end_marker;
  }

  #nextBeginMarker(from: number): number {
    if (this.#begin_marker < from) this.#begin_marker = findMarker(this.#text, from, "-----begin ");
    return this.#begin_marker;
  }

  #endOfEndLine(marker: number): number {
    const { bytes, length } = this.#text;
    const limit = Math.min(length, marker + END_LINE_BYTES_MAX);
    let at = marker + "-----end ".length;
    while (at < limit && bytes[at] !== 0x0a && bytes[at] !== 0x2d) at++;
    while (at < limit && bytes[at] === 0x2d) at++;
    // A cut at the byte limit must not fall inside a character.
    while (at < length && ((bytes[at] ?? 0) & 0xc0) === 0x80) at++;
    return at;
  }
}

/** Place of a lower-case marker, compared without regard to ASCII case, or `Infinity`. */
function findMarker({ bytes, length }: Utf8Text, from: number, marker: string): number {
  for (
    let at = bytes.indexOf(0x2d, from);
    at >= 0 && at < length;
    at = bytes.indexOf(0x2d, at + 1)
  ) {
    let matched = 0;
    while (
      matched < marker.length && at + matched < length &&
      lowerCase(bytes[at + matched] ?? 0) === marker.charCodeAt(matched)
    ) matched++;
    if (matched === marker.length) return at;
  }
  return Infinity;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function measureRuns(
  bytes: Uint8Array,
  from: number,
  to: number,
): { readonly longest: number; readonly last: number; readonly in_long_runs: number } {
  let longest = 0;
  let last = 0;
  let in_long_runs = 0;
  let run = 0;
  for (let at = from; at < to; at++) {
    if ((classAt(bytes, at) & BASE64) === 0) {
      run = 0;
      continue;
    }
    run++;
    last = run;
    if (run > longest) longest = run;
    if (run >= RUN_CHARS_LONG) in_long_runs += run === RUN_CHARS_LONG ? run : 1;
  }
  return { longest, last, in_long_runs };
}

/**
 * Where the private part of a PuTTY key file ends (PPK, appendix C of the PuTTY manual): so many
 * lines of base64 as its first line says. -1 when no base64 follows.
 *
 * @param body First byte after `Private-Lines:`.
 */
export function puttyEnd({ bytes }: Utf8Text, body: number): number {
  let at = body;
  while (bytes[at] === 0x20) at++;
  let lines = 0;
  for (let digits = 0; digits < PUTTY_COUNT_DIGITS_MAX && isDigit(bytes[at] ?? 0); digits++) {
    lines = lines * 10 + (bytes[at++] ?? 0) - 0x30;
  }
  let end = -1;
  for (let left = Math.min(lines, SCANNER_LIMITS.putty_lines); left > 0; left--) {
    while (isLineBreak(bytes[at] ?? 0)) at++;
    const from = at;
    while (at - from < PUTTY_LINE_BYTES_MAX && isBase64OrPadding(bytes[at] ?? 0)) at++;
    if (at === from) break;
    end = at;
  }
  return end;
}

const PUTTY_COUNT_DIGITS_MAX = 3;
const PUTTY_LINE_BYTES_MAX = 80;

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isLineBreak(byte: number): boolean {
  return byte === 0x0a || byte === 0x0d;
}

function isBase64OrPadding(byte: number): boolean {
  return byte === 0x3d || ((CLASS[byte] ?? 0) & BASE64) !== 0;
}
