/**
 * Takes off the disguises a secret can wear and still be one to its reader: JSON and percent
 * escapes, HTML entities, characters of no width, look-alikes (contract `interception` §2.10,
 * trap S11). One walk a layer; layers are bounded.
 *
 * @module
 */
import { SCANNER_LIMITS } from "../limits.ts";
import type { Utf8Text } from "../utf8.ts";
import { ENTITY_BYTES_MAX, entityCode } from "./entities.ts";
import { FOREIGN_LETTERS, isInvisible, STYLED, tagCharacter } from "./look_alikes.ts";
import { compose, type DecodedView, type DecodeStep, ViewBuilder } from "./view.ts";

/** A text without its escapes, and whether escapes that matter were left. */
export interface Unescaped {
  readonly view: DecodedView;
  /** Place, in the original text, of an escape behind more layers than are taken off. */
  readonly deeper_at?: number;
}

/** The text without its escapes; `undefined` when it has none. */
export function unescape(text: Utf8Text): Unescaped | undefined {
  let view: DecodedView | undefined;
  for (let layer = 0; layer < SCANNER_LIMITS.escape_layers; layer++) {
    // A further layer can begin only where the last one wrote something.
    if (view !== undefined && !mayContinue(view)) return { view };
    const inner = unescapeLayer(view ?? text);
    if (inner === undefined) return view && { view };
    view = view === undefined ? inner : { ...inner, origin: compose(view.origin, inner.origin) };
  }
  if (view === undefined) return undefined;
  const deeper = deeperUnit(view);
  return deeper < 0 ? { view } : { view, deeper_at: view.origin.start(deeper) };
}

/** Longest unit, or word around a look-alike, in bytes. */
const UNIT_REACH_BYTES = 128;

/** Whether a unit stands near a place where the last layer wrote or dropped something. */
function mayContinue(view: DecodedView): boolean {
  const { bytes, length } = view;
  const units = new UnitReader(view);
  let checked = 0;
  for (const place of view.origin.places()) {
    const end = Math.min(length, place + UNIT_REACH_BYTES);
    for (let at = Math.max(checked, place - UNIT_REACH_BYTES); at < end; at++) {
      if (SIGN[bytes[at] as number] === 1 && units.read(at)) return true;
    }
    checked = Math.max(checked, end);
  }
  return false;
}

/** Bytes at which a unit may start. */
const SIGN: Uint8Array = new Uint8Array(256);
for (
  const byte of [
    ...[0x5c, 0x25, 0x26],
    ...[0xc2, 0xc6, 0xc9, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd8],
    ...[0xe1, 0xe2, 0xef, 0xf0, 0xf3],
  ]
) SIGN[byte] = 1;

function unescapeLayer(text: Utf8Text): DecodedView | undefined {
  const { bytes, length } = text;
  const units = new UnitReader(text);
  let at = 0;
  while (at < length && (SIGN[bytes[at] as number] === 0 || !units.read(at))) at++;
  if (at === length) return undefined;
  // No unit stands for more bytes than it is written with.
  const builder = new ViewBuilder(bytes, length);
  let copied = 0;
  while (at < length) {
    if (SIGN[bytes[at] as number] === 0 || !units.read(at)) {
      at++;
      continue;
    }
    builder.copy(copied, at);
    builder.unit(at, units.bytes, units.step);
    at += units.length;
    copied = at;
  }
  builder.copy(copied, length);
  return builder.finish(length);
}

/**
 * Place of an escape that would still turn into part of a key, or -1. Doubled backslashes before
 * quotes and letters, which regular expressions and paths are full of, are no such thing.
 */
function deeperUnit(text: Utf8Text): number {
  const { bytes, length } = text;
  const units = new UnitReader(text);
  for (let at = 0; at < length; at++) {
    if (SIGN[bytes[at] as number] === 0 || !units.read(at)) continue;
    const coded = units.length > 2 && units.step !== "look_alike" && units.step !== "invisible" &&
      units.step !== "line_continuation";
    if (coded && units.bytes.length === 1) {
      const byte = units.bytes[0] ?? 0;
      if (byte > 0x20 && byte < 0x7f) return at;
    }
    at += units.length - 1;
  }
  return -1;
}

/** JSON's and JavaScript's one-letter escapes. */
const LETTER_ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x22, 0x22],
  [0x27, 0x27],
  [0x2d, 0x2d],
  [0x2f, 0x2f],
  [0x5c, 0x5c],
  [0x5f, 0x5f],
  [0x60, 0x60],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

/** Reads the units of one text, asked for in ascending order. */
export class UnitReader {
  readonly #text: Utf8Text;
  #word_end = -1;
  #word_mixed = false;
  /** What the unit stands for; valid until the next read. */
  readonly bytes: number[] = [];
  /** Bytes the unit is written with. */
  length = 0;
  step: DecodeStep = "json_escape";

  constructor(text: Utf8Text) {
    this.#text = text;
  }

  /** Reads the unit at a place into the fields; false when there is none. */
  read(at: number): boolean {
    this.bytes.length = 0;
    switch (this.#text.bytes[at]) {
      case 0x5c:
        return this.#backslash(at);
      case 0x25:
        return this.#percent(at);
      case 0x26:
        return this.#entity(at);
      default:
        return this.#wide(at);
    }
  }

  #backslash(at: number): boolean {
    const { bytes, length } = this.#text;
    this.step = "json_escape";
    const sign = at + 1 < length ? bytes[at + 1] ?? 0 : 0;
    if (sign === 0x75) return this.#unicode(at);
    if (sign === 0x78) return this.#stands(hexValue(bytes, at + 2, at + 4, length), 4);
    if (sign === 0x0a || sign === 0x0d) {
      this.step = "line_continuation";
      this.length = sign === 0x0d && bytes[at + 2] === 0x0a && at + 2 < length ? 3 : 2;
      return true;
    }
    const letter = LETTER_ESCAPES.get(sign);
    if (letter !== undefined) return this.#stands(letter, 2);
    return this.#octal(at);
  }

  /** `\163`: three octal digits, as shells and C write them. */
  #octal(at: number): boolean {
    const { bytes, length } = this.#text;
    if (at + 4 > length) return false;
    let code = 0;
    for (let digit = at + 1; digit < at + 4; digit++) {
      const value = (bytes[digit] ?? 0) - 0x30;
      if (value < 0 || value > 7) return false;
      code = code * 8 + value;
    }
    return code >= 0x20 && code < 0x7f && this.#stands(code, 4);
  }

  /** `\uXXXX`, two of them for a character beyond the first plane, and `\u{X}`. */
  #unicode(at: number): boolean {
    const { bytes, length } = this.#text;
    if (bytes[at + 2] === 0x7b) {
      let end = at + 3;
      while (end < length && end < at + 10 && bytes[end] !== 0x7d) end++;
      if (bytes[end] !== 0x7d || end === at + 3 || end >= length) return false;
      return this.#stands(hexValue(bytes, at + 3, end, length), end + 1 - at);
    }
    const code = hexValue(bytes, at + 2, at + 6, length);
    if (code < 0xd800 || code > 0xdfff) return this.#stands(code, 6);
    if (code > 0xdbff || bytes[at + 6] !== 0x5c || bytes[at + 7] !== 0x75) return false;
    const low = hexValue(bytes, at + 8, at + 12, length);
    if (low < 0xdc00 || low > 0xdfff) return false;
    return this.#stands(0x10000 + ((code - 0xd800) << 10) + low - 0xdc00, 12);
  }

  /** `%XX` of ASCII, of a whole character in UTF-8, and the `%uXXXX` of old scripts. */
  #percent(at: number): boolean {
    const { bytes, length } = this.#text;
    this.step = "percent";
    if (bytes[at + 1] === 0x75) return this.#stands(hexValue(bytes, at + 2, at + 6, length), 6);
    const lead = hexValue(bytes, at + 1, at + 3, length);
    if (lead < 0x80) return this.#stands(lead, 3);
    const size = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4) return false;
    // Half a character would make the result malformed.
    this.bytes.push(lead);
    for (let part = 1; part < size; part++) {
      const from = at + part * 3;
      const byte = bytes[from] === 0x25 ? hexValue(bytes, from + 1, from + 3, length) : -1;
      if ((byte & 0xc0) !== 0x80 || byte < 0) return false;
      this.bytes.push(byte);
    }
    this.length = size * 3;
    return true;
  }

  #entity(at: number): boolean {
    const { bytes, length } = this.#text;
    this.step = "html_entity";
    const limit = Math.min(length, at + 1 + ENTITY_BYTES_MAX);
    let end = at + 1;
    if (bytes[end] === 0x23) end++;
    while (end < limit && isWordByte(bytes[end] as number)) end++;
    if (end === limit || bytes[end] !== 0x3b) return false;
    const code = entityCode(String.fromCharCode(...bytes.subarray(at + 1, end)));
    return this.#stands(code, end + 1 - at);
  }

  /** Drops what has no width, folds what looks like ASCII. */
  #wide(at: number): boolean {
    const { bytes, length } = this.#text;
    const lead = bytes[at] as number;
    const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (at + size > length) return false;
    let code = lead & (0xff >> (size + 1));
    for (let part = 1; part < size; part++) {
      code = code << 6 | ((bytes[at + part] as number) & 0x3f);
    }
    this.length = size;
    if (isInvisible(code)) {
      this.step = "invisible";
      return true;
    }
    const tag = tagCharacter(code);
    this.step = tag < 0 ? "look_alike" : "invisible";
    const plain = tag < 0 ? STYLED.get(code) ?? this.#foreign(at, code) : tag;
    if (plain === undefined) return false;
    this.bytes.push(plain);
    return true;
  }

  #foreign(at: number, code: number): number | undefined {
    const plain = FOREIGN_LETTERS.get(code);
    return plain === undefined || !this.#mixed(at) ? undefined : plain;
  }

  /** The word around a place has ASCII in it: in a word of its own alphabet a letter is a letter. */
  #mixed(at: number): boolean {
    if (at < this.#word_end) return this.#word_mixed;
    const { bytes, length } = this.#text;
    let from = at;
    while (from > 0 && at - from < WORD_BYTES_MAX && isWordByte(bytes[from - 1] as number)) from--;
    let end = at;
    while (end < length && end - at < WORD_BYTES_MAX && isWordByte(bytes[end] as number)) end++;
    this.#word_end = end;
    this.#word_mixed = false;
    for (let place = from; place < end; place++) {
      const byte = bytes[place] as number;
      if (byte < 0x80 && byte !== 0x2d) this.#word_mixed = true;
    }
    return this.#word_mixed;
  }

  /** The unit stands for one character; false when the code is none. */
  #stands(code: number, length: number): boolean {
    if (code < 0) return false;
    this.length = length;
    const { bytes } = this;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | code >> 6, 0x80 | code & 0x3f);
    else if (code < 0x10000) {
      if (code >= 0xd800 && code <= 0xdfff) return false;
      bytes.push(0xe0 | code >> 12, 0x80 | code >> 6 & 0x3f, 0x80 | code & 0x3f);
    } else {
      if (code > 0x10ffff) return false;
      const low = 0x80 | code & 0x3f;
      bytes.push(0xf0 | code >> 18, 0x80 | code >> 12 & 0x3f, 0x80 | code >> 6 & 0x3f, low);
    }
    return true;
  }
}

const WORD_BYTES_MAX = 128;

/** A letter, digit, `-`, `_`, or part of a character outside ASCII. */
function isWordByte(byte: number): boolean {
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x7a || byte >= 0x30 && byte <= 0x39 || byte === 0x2d ||
    byte === 0x5f || byte >= 0x80;
}

/** Value of the hex digits of a range, or -1. */
export function hexValue(bytes: Uint8Array, from: number, to: number, length: number): number {
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
