/**
 * Takes off the disguises a secret can wear and still be one to its reader: JSON and percent
 * escapes, characters of no width, full-width letters (contract `interception` §2.10, trap S11).
 *
 * Bounded: a few layers, each one walk. What is decoded is only searched, never kept: findings are
 * mapped back to the original text.
 *
 * @module
 */
import { SCANNER_LIMITS } from "./limits.ts";
import { newBuffer, sealText, type Utf8Text } from "./utf8.ts";

/** A text without its escapes. */
export interface DecodedText extends Utf8Text {
  /** Byte of the original text from which each byte came; one more for the end. */
  readonly origins: Int32Array;
}

/** The text without its escapes; `undefined` when it has none. */
export function decodeText(text: Utf8Text): DecodedText | undefined {
  let decoded: DecodedText | undefined;
  for (let layer = 0; layer < SCANNER_LIMITS.escape_layers; layer++) {
    const next = decodeLayer(decoded ?? text, decoded?.origins);
    if (next === undefined) break;
    decoded = next;
  }
  return decoded;
}

function decodeLayer(text: Utf8Text, origins: Int32Array | undefined): DecodedText | undefined {
  const { bytes, length } = text;
  let at = 0;
  while (at < length && unitAt(text, at) === undefined) at++;
  if (at === length) return undefined;
  const out = newBuffer(length);
  const from = new Int32Array(length + 1);
  let size = 0;
  for (at = 0; at < length;) {
    const unit = unitAt(text, at);
    const origin = origins?.[at] ?? at;
    if (unit === undefined) {
      from[size] = origin;
      out[size++] = bytes[at] as number;
      at++;
      continue;
    }
    for (const byte of unit.bytes) {
      from[size] = origin;
      out[size++] = byte;
    }
    at += unit.read;
  }
  from[size] = origins?.[length] ?? length;
  return { ...sealText(out, size, false), origins: from };
}

/** What an escape stands for; never more bytes than it is written with. */
interface Unit {
  readonly bytes: readonly number[];
  readonly read: number;
}

function unitAt(text: Utf8Text, at: number): Unit | undefined {
  switch (text.bytes[at]) {
    case 0x5c:
      return backslashUnit(text, at);
    case 0x25:
      return percentUnit(text, at);
    case 0xc2:
    case 0xe2:
    case 0xef:
      return wideUnit(text, at);
    default:
      return undefined;
  }
}

/** JSON's escapes by their letter. */
const ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x22, 0x22],
  [0x2f, 0x2f],
  [0x5c, 0x5c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

function backslashUnit({ bytes, length }: Utf8Text, at: number): Unit | undefined {
  const sign = at + 1 < length ? bytes[at + 1] ?? 0 : 0;
  if (sign !== 0x75) {
    const byte = ESCAPES.get(sign);
    return byte === undefined ? undefined : { bytes: [byte], read: 2 };
  }
  const code = hexValue(bytes, at + 2, at + 6, length);
  if (code < 0 || code >= 0xd800 && code <= 0xdfff) return undefined;
  if (code < 0x80) return { bytes: [code], read: 6 };
  if (isWidthless(code)) return { bytes: [], read: 6 };
  if (code < 0x800) return { bytes: [0xc0 | (code >> 6), 0x80 | (code & 0x3f)], read: 6 };
  const wide = [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
  return { bytes: wide, read: 6 };
}

/** Only ASCII: prefixes are, and other bytes could make the result malformed. */
function percentUnit({ bytes, length }: Utf8Text, at: number): Unit | undefined {
  const code = hexValue(bytes, at + 1, at + 3, length);
  return code >= 0 && code < 0x80 ? { bytes: [code], read: 3 } : undefined;
}

/** Drops what has no width, folds what is full-width. */
function wideUnit({ bytes }: Utf8Text, at: number): Unit | undefined {
  const lead = bytes[at] as number;
  const second = bytes[at + 1] as number;
  if (lead === 0xc2) return second === 0xad ? { bytes: [], read: 2 } : undefined;
  const third = bytes[at + 2] as number;
  const code = (lead & 0x0f) << 12 | (second & 0x3f) << 6 | (third & 0x3f);
  if (isWidthless(code)) return { bytes: [], read: 3 };
  return isFolded(code) ? { bytes: [code - 0xfee0], read: 3 } : undefined;
}

/**
 * Full-width letters, digits and the signs `- . / = _`: what keys are written with. Other full-width
 * signs are the ordinary punctuation of CJK text, which is not worth a second look.
 */
function isFolded(code: number): boolean {
  return code >= 0xff0d && code <= 0xff19 || code === 0xff1d || code === 0xff3f ||
    code >= 0xff21 && code <= 0xff3a || code >= 0xff41 && code <= 0xff5a;
}

function isWidthless(code: number): boolean {
  return code === 0xad || code >= 0x200b && code <= 0x200d || code === 0x2060 || code === 0xfeff;
}

/** Value of the hex digits of a range, or -1. */
function hexValue(bytes: Uint8Array, from: number, to: number, length: number): number {
  if (to > length) return -1;
  let value = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    const letter = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + byte - 0x30;
    else if (letter >= 0x61 && letter <= 0x66) value = value * 16 + letter - 0x57;
    else return -1;
  }
  return value;
}
