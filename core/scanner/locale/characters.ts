/**
 * A text as characters with full-width letters and digits folded to ASCII, each with its place in
 * the original bytes.
 *
 * @module
 */
import { characterBytes, type Utf8Text } from "../utf8.ts";

/** The characters of a text; index by character, not by byte. */
export interface Characters {
  readonly length: number;
  /** Code points; full-width letters and digits as their ASCII counterparts. */
  readonly codes: Int32Array;
  /** Byte offset of each character, and of the end of the text. */
  readonly offsets: Int32Array;
}

/** Decodes and folds a text (contract `interception` §2.9). */
export function foldCharacters({ bytes, length }: Utf8Text): Characters {
  const codes = new Int32Array(length);
  const offsets = new Int32Array(length + 1);
  let count = 0;
  for (let at = 0; at < length;) {
    const lead = bytes[at] ?? 0;
    const size = characterBytes(lead);
    let code = size === 1 ? lead : lead & (0xff >> (size + 1));
    for (let next = 1; next < size; next++) code = (code << 6) | ((bytes[at + next] ?? 0) & 0x3f);
    codes[count] = fold(code);
    offsets[count++] = at;
    at += size;
  }
  offsets[count] = length;
  return { length: count, codes, offsets };
}

function fold(code: number): number {
  const ascii = code - 0xfee0;
  return code >= 0xff10 && isAlphanumeric(ascii) ? ascii : code;
}

/** Value of the digit at a place, or -1. */
export function digit(text: Characters, at: number): number {
  const code = codeAt(text, at);
  return code >= 0x30 && code <= 0x39 ? code - 0x30 : -1;
}

/** Code point at a place; -1 outside the text. */
export function codeAt({ codes, length }: Characters, at: number): number {
  return at >= 0 && at < length ? codes[at] ?? -1 : -1;
}

/** An ASCII letter or digit, after folding. */
export function isAlphanumeric(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a);
}

/** White space as far as numbers are set off by it. */
export function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0 || code === 0x85 ||
    (code >= 0x2000 && code <= 0x200a) || code === 0x2028 || code === 0x2029 ||
    code === 0x202f || code === 0x205f || code === 0x1680 || code === 0x3000;
}

/** An ideograph, a syllable, or their punctuation. */
export function isCjk(code: number): boolean {
  return (code >= 0x2e80 && code <= 0x9fff) || (code >= 0xac00 && code <= 0xd7af) ||
    (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe4f) ||
    (code >= 0xff00 && code <= 0xffef) || (code >= 0x20000 && code <= 0x3ffff);
}

/**
 * True when nothing next to the match says that it is part of a longer number or word
 * (contract `interception` §2.9 "Boundary"). A dot or comma behind it is fine as punctuation.
 */
export function standsAlone(text: Characters, from: number, to: number): boolean {
  const before = codeAt(text, from - 1);
  if (isAlphanumeric(before) || before === 0x2e || before === 0x2c || before === 0x2b) return false;
  const after = codeAt(text, to);
  if (after === 0x2e || after === 0x2c) return !isAlphanumeric(codeAt(text, to + 1));
  return !isAlphanumeric(after) && after !== 0x2b;
}
