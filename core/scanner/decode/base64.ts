/**
 * Base64 in a text: the standard and the URL alphabet, with or without padding, wrapped in lines or
 * not, glued to other words or not. What does not look like an encoded text is not decoded.
 *
 * @module
 */
import type { Utf8Text } from "../utf8.ts";
import { compressionOf, inflatesToText } from "./compressed.ts";
import { PRINTABLE } from "./text_like.ts";
import { type DecodedView, type OriginMap, viewBuffer, viewOf } from "./view.ts";

/** Shortest run that is looked at: 12 bytes, as long as the shortest token with a prefix. */
export const BASE64_CHARS_MIN = 16;
/** Characters of one look: 9 bytes, which by chance are all printable once in 6,000 times. */
const WINDOW_CHARS = 12;
const LINE_INDENT_MAX = 32;
/** Lines of a wrapped text are at least this long; encoders use 64 and 76. */
const LINE_CHARS_MIN = 32;

const NONE = 255;
/** Six bits of each character of both alphabets. */
const BITS: Uint8Array = new Uint8Array(256).fill(NONE);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((sign, value) => {
  BITS[sign.charCodeAt(0)] = value;
});
BITS[0x2d] = 62;
BITS[0x5f] = 63;

/** Bytes both alphabets are made of. */
export const BASE64_SET: Uint8Array = BITS.map((value) => value === NONE ? 0 : 1);

/** Characters of a base64 text, over all its lines. */
export interface Base64Run {
  /** Lines, as pairs of start and exclusive end. */
  readonly lines: readonly number[];
  /** Behind the last character. */
  readonly end: number;
}

/** The run that starts with the line `from` to `to`, with the lines that continue it. */
export function wholeRun({ bytes, length }: Utf8Text, from: number, to: number): Base64Run {
  const lines = [from, to];
  const width = to - from;
  if (width < LINE_CHARS_MIN || width % 4 !== 0) return { lines, end: to };
  for (let end = to;;) {
    const start = nextLine(bytes, end, length);
    if (start < 0) return { lines, end };
    let line_end = start;
    const limit = Math.min(length, start + width + 1);
    while (line_end < limit && BASE64_SET[bytes[line_end] as number] === 1) line_end++;
    const line_width = line_end - start;
    // A longer line is no part of it, nor is a word that begins a line of something else.
    if (line_width === 0 || line_width > width) return { lines, end };
    if (line_width < width && !endsRun(bytes, line_end, length)) return { lines, end };
    lines.push(start, line_end);
    end = line_end;
    if (line_width < width) return { lines, end };
  }
}

/** Start of the next line's text, or -1 when the line does not end here. */
function nextLine(bytes: Uint8Array, from: number, length: number): number {
  let at = from;
  if (bytes[at] === 0x0d) at++;
  if (bytes[at] !== 0x0a) return -1;
  at++;
  const limit = Math.min(length, at + LINE_INDENT_MAX);
  while (at < limit && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++;
  return at < limit ? at : -1;
}

function endsRun(bytes: Uint8Array, at: number, length: number): boolean {
  const byte = at < length ? bytes[at] as number : 0x0a;
  return byte <= 0x20 || byte === 0x3d || byte === 0x22 || byte === 0x27 || byte === 0x3c ||
    byte === 0x60 || byte === 0x2c || byte === 0x29;
}

/** A run longer than this is looked at from its first character only. */
const GLUED_CHARS_MAX = 2_048;

/**
 * Where decoding should begin: numbers of characters to skip, 0 to 3, at which the run looks like
 * an encoded text or compressed bytes. Empty for a hash, a word, a path.
 */
export function phasesOf({ bytes }: Utf8Text, run: Base64Run): readonly number[] {
  const { lines } = run;
  const from = lines[0] ?? 0;
  const to = lines[1] ?? 0;
  if (lines.length > 2) {
    return anyLineIsText(bytes, lines) || looksCompressed(bytes, from, to) ? [0] : NO_PHASES;
  }
  let phases: number[] | undefined;
  const last = to - from > GLUED_CHARS_MAX ? 0 : 3;
  for (let phase = 0; phase <= last; phase++) {
    const found = holdsText(bytes, from + phase, to) ||
      phase === 0 && looksCompressed(bytes, from, to);
    if (found) (phases ??= []).push(phase);
  }
  return phases ?? NO_PHASES;
}

const NO_PHASES: readonly number[] = [];

function anyLineIsText(bytes: Uint8Array, lines: readonly number[]): boolean {
  for (let line = 0; line < lines.length; line += 2) {
    if (holdsText(bytes, lines[line] ?? 0, lines[line + 1] ?? 0)) return true;
  }
  return false;
}

function holdsText(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at + WINDOW_CHARS <= to; at += WINDOW_CHARS) {
    if (quadIsText(bytes, at) && quadIsText(bytes, at + 4) && quadIsText(bytes, at + 8)) {
      return true;
    }
  }
  return false;
}

function quadIsText(bytes: Uint8Array, at: number): boolean {
  const bits_1 = BITS[bytes[at] as number] as number;
  const bits_2 = BITS[bytes[at + 1] as number] as number;
  if (!textByte(bits_1 << 2 | bits_2 >> 4)) return false;
  const bits_3 = BITS[bytes[at + 2] as number] as number;
  if (!textByte((bits_2 & 15) << 4 | bits_3 >> 2)) return false;
  return textByte((bits_3 & 3) << 6 | (BITS[bytes[at + 3] as number] as number));
}

/** Printable, or the zero that every second byte of a text in UTF-16 is. */
function textByte(byte: number): boolean {
  return PRINTABLE[byte] === 1 || byte === 0;
}

const HEAD_CHARS = 64;
const head = new Uint8Array(HEAD_CHARS);

function looksCompressed(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < 24) return false;
  const size = decodeInto(bytes, from, Math.min(to, from + HEAD_CHARS), head, 0, 0).size;
  const found = compressionOf(head, size) !== undefined || inflatesToText(head, size);
  head.fill(0);
  return found;
}

/** Six-bit groups left over between two stretches. */
interface Carry {
  readonly size: number;
  readonly bits: number;
  readonly count: number;
}

function decodeInto(
  bytes: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  offset: number,
  carry: number,
  carry_count = 0,
): Carry {
  let size = offset;
  let bits = carry;
  let count = carry_count;
  let at = from;
  if (count === 0) {
    for (; at + 4 <= to; at += 4) {
      const group = (BITS[bytes[at] as number] as number) << 18 |
        (BITS[bytes[at + 1] as number] as number) << 12 |
        (BITS[bytes[at + 2] as number] as number) << 6 | (BITS[bytes[at + 3] as number] as number);
      out[size] = group >> 16;
      out[size + 1] = group >> 8;
      out[size + 2] = group;
      size += 3;
    }
  }
  for (; at < to; at++) {
    bits = bits << 6 | (BITS[bytes[at] as number] as number);
    count++;
    if (count > 1) out[size++] = bits >> (8 - count * 2);
    if (count === 4) bits = count = 0;
    else bits &= 0xff;
  }
  return { size, bits, count };
}

/** Bytes a run decodes to, at most. */
export function decodedBytes(run: Base64Run): number {
  let chars = 0;
  for (let line = 0; line < run.lines.length; line += 2) {
    chars += (run.lines[line + 1] ?? 0) - (run.lines[line] ?? 0);
  }
  return Math.ceil(chars * 3 / 4);
}

/** Decodes a run from its `phase`th character on. */
export function decodeBase64({ bytes }: Utf8Text, run: Base64Run, phase: number): DecodedView {
  // Groups of three are written whole.
  const out = viewBuffer(decodedBytes(run) + 4);
  let carry: Carry = { size: 0, bits: 0, count: 0 };
  for (let line = 0; line < run.lines.length; line += 2) {
    const from = (run.lines[line] ?? 0) + (line === 0 ? phase : 0);
    const to = run.lines[line + 1] ?? 0;
    carry = decodeInto(bytes, from, to, out, carry.size, carry.bits, carry.count);
  }
  return viewOf(out, carry.size, new Base64Map(run.lines, phase));
}

class Base64Map implements OriginMap {
  readonly #lines: readonly number[];
  readonly #phase: number;

  constructor(lines: readonly number[], phase: number) {
    this.#lines = lines;
    this.#phase = phase;
  }

  /** The character that holds the first bit of a byte. */
  readonly start = (at: number): number => this.#place(Math.floor(at * 8 / 6));

  /** Behind the character that holds the last bit. */
  readonly end = (at: number): number =>
    at === 0 ? this.start(0) : this.#place(Math.ceil(at * 8 / 6) - 1) + 1;

  readonly steps = (): readonly ["base64"] => ["base64"];
  readonly places = (): readonly number[] => [0];

  #place(char: number): number {
    let rest = char + this.#phase;
    // Every line but the last is as wide as the first.
    const [first = 0, first_end = 0] = this.#lines;
    const width = first_end - first;
    const line = Math.min(Math.floor(rest / width), this.#lines.length / 2 - 1);
    rest -= line * width;
    const start = this.#lines[line * 2] ?? 0;
    return Math.min(start + rest, this.#lines[line * 2 + 1] ?? 0);
  }
}
