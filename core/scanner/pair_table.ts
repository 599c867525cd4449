/**
 * What two neighbouring bytes can be the sign of: one table, one look-up for every second byte of a
 * text. A sign may be wrong, never missing; the detectors look closer where it shows.
 *
 * @module
 */
import { BASE64, CLASS, NON_ASCII, SPACE } from "./byte_class.ts";
import { DISGUISES, FOREIGN_LETTERS } from "./decode/look_alikes.ts";
import { type Prefix, PREFIXES } from "./detectors/prefix.ts";
import { isKeyByte } from "./disguise.ts";

/** White space or a byte outside ASCII is in the pair: no token goes on over it. */
export const CUTS_TOKEN = 0x01;
/** A character that is no base64 is in the pair; the first byte of a wide one stands for it. */
export const CUTS_RUN = 0x10;
/** Both bytes may belong to a chain of digits, and one is more than a separator. */
export const DIGITS = 0x04;
/** Part of a literal prefix, chosen to be rare in other text. */
export const PREFIX = 0x08;
/** The pair holds `@`. */
export const AT_SIGN = 0x02;
/** The pair holds `\`, `%` or `&`, which start escapes. */
export const ESCAPE = 0x20;
/** Part of a character that nobody sees, or that looks like ASCII. */
export const WIDE = 0x40;
/** The pair holds a quote of source code. */
export const QUOTE = 0x80;

/** Two bytes as the machine reads them. */
export const pairOf: (first: number, second: number) => number =
  new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
    ? (first, second) => first | second << 8
    : (first, second) => first << 8 | second;

/** Where a prefix stands when one of its pairs is seen. */
export interface PrefixPlace {
  /** Index in `PREFIXES`. */
  readonly prefix: number;
  /** Bytes from the start of the prefix to the pair. */
  readonly offset: number;
}

const PLACES: PrefixPlace[][] = [];
const place_of_pair = new Uint16Array(65_536);

/** Letters of English from common to rare: only the order of magnitude matters. */
const COMMON = " etaoinsrhldcumfpgwybvkxjqz";
/** Pairs of letters that are more common than their letters say. */
const COMMON_PAIRS: ReadonlySet<string> = new Set(
  ("th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se " +
    "le sa si ar ve ra ld ur ro ri io ic ne me co ta ec ma li el la ho be ac no ch ll ll us ce " +
    "ge ss ee tt ff oo ke pr lo ai ct ly ul un om so wh wi ad em ca tr po ac ry ow im id ns s. :: " +
    "sk ks ok ey fa by va ap xp 01 20 00 10 19 12 9. 1. 0. " +
    '": ", ," =" // -- () ./ \\n')
    .split(" "),
);

/** 1 for bytes of digits and of wide separators (contract §2.4), 3 for separators of one byte. */
const DIGIT_BYTE = new Uint8Array(256).fill(1, 0x30, 0x3a).fill(1, 0x90, 0x9a);
for (const byte of [0xef, 0xbc, 0xe3, 0x80, 0x8d, 0x8e]) DIGIT_BYTE[byte] = 1;
for (const separator of " -.") DIGIT_BYTE[separator.charCodeAt(0)] = 3;

/** Signs of each pair. */
export const PAIR_SIGNS: Uint8Array = buildTable();

/**
 * What stands next to a pair in some prefix: for each pair with places 256 flags for the byte after
 * it, then 256 for the byte before it. A prefix is known by one of the two.
 */
const neighbours = new Uint8Array(PLACES.length << 9);
PLACES.forEach((places, index) => {
  for (const place of places) markNeighbour(index << 9, place);
});

/** False when no prefix has the pair between these two bytes. */
export function fitsPrefix(pair: number, before: number, after: number): boolean {
  const index = ((place_of_pair[pair] as number) - 1) << 9;
  return ((neighbours[index | after] as number) | (neighbours[index | 256 | before] as number)) !==
    0;
}

/** The prefixes a pair with the sign {@linkcode PREFIX} can be part of. */
export function prefixPlaces(pair: number): readonly PrefixPlace[] {
  return PLACES[(place_of_pair[pair] as number) - 1] ?? [];
}

function buildTable(): Uint8Array {
  const table = new Uint8Array(65_536);
  const one = Uint8Array.from({ length: 256 }, (_, byte) => signsOfByte(byte));
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      table[pairOf(first, second)] = (one[first] as number) | (one[second] as number);
    }
  }
  markDigits(table);
  markWide(table);
  PREFIXES.forEach((_, index) => markPrefix(table, index));
  return table;
}

function signsOfByte(byte: number): number {
  const bits = CLASS[byte] as number;
  let signs = (bits & (SPACE | NON_ASCII)) === 0 ? 0 : CUTS_TOKEN;
  const continues = (byte & 0xc0) === 0x80;
  if ((bits & BASE64) === 0 && !continues) signs |= CUTS_RUN;
  if (byte === 0x40) signs |= AT_SIGN;
  if (byte === 0x5c || byte === 0x25 || byte === 0x26) signs |= ESCAPE;
  if (byte === 0x22 || byte === 0x27 || byte === 0x60) signs |= QUOTE;
  return signs;
}

/** True for bytes of digits and their separators, either width (contract §2.4). */
export function isDigitByte(byte: number): boolean {
  return (DIGIT_BYTE[byte] ?? 0) !== 0;
}

/** Space, hyphen and dot, the separators of one byte. */
export function isSeparatorByte(byte: number): boolean {
  return DIGIT_BYTE[byte] === 3;
}

function markDigits(table: Uint8Array): void {
  for (let first = 0; first < 256; first++) {
    if (!isDigitByte(first)) continue;
    for (let second = 0; second < 256; second++) {
      // A chain has no two separators in a row.
      if (!isDigitByte(second) || isSeparatorByte(first) && isSeparatorByte(second)) continue;
      mark(table, first, second, DIGITS);
    }
  }
}

/**
 * Of a disguise that starts at an even place the first two bytes, of one at an odd place the last
 * two. A letter of another alphabet that starts at an odd place is one only next to ASCII, which
 * shows in its pairs; other texts of that alphabet are not looked at for it.
 */
function markWide(table: Uint8Array): void {
  for (const code of DISGUISES) {
    const bytes = new TextEncoder().encode(String.fromCodePoint(code));
    const [first = 0, second = 0] = bytes;
    mark(table, first, second, WIDE);
    if (bytes.length > 2) mark(table, second, bytes[2] ?? 0, WIDE);
    else if (FOREIGN_LETTERS.has(code)) markBesideKey(table, first, second);
    else for (let before = 0; before < 256; before++) mark(table, before, first, WIDE);
  }
}

function markBesideKey(table: Uint8Array, first: number, second: number): void {
  for (let key = 0; key < 0x80; key++) {
    if (!isKeyByte(key)) continue;
    mark(table, key, first, WIDE);
    mark(table, second, key, WIDE);
  }
}

function mark(table: Uint8Array, first: number, second: number, sign: number): void {
  const pair = pairOf(first, second);
  table[pair] = (table[pair] as number) | sign;
}

/**
 * Marks one pair at an even place of a prefix and one at an odd place: wherever a text holds the
 * prefix, exactly one of the two falls on a pair that is looked at.
 */
function markPrefix(table: Uint8Array, index: number): void {
  const prefix = PREFIXES[index];
  if (prefix === undefined || prefix.text.length < 3) {
    throw new RangeError(`prefix \`${prefix?.text}\` is too short: expected 3 characters`);
  }
  const { text } = prefix;
  for (const parity of prefix.at_start === true ? [0] : [0, 1]) {
    let offset = parity;
    for (let at = parity; at + 1 < text.length; at += 2) {
      if (frequency(prefix, at) < frequency(prefix, offset)) offset = at;
    }
    for (const first of writtenAs(text[offset] ?? "", prefix.exact_case)) {
      for (const second of writtenAs(text[offset + 1] ?? "", prefix.exact_case)) {
        mark(table, first, second, PREFIX);
        addPlace(pairOf(first, second), { prefix: index, offset });
      }
    }
  }
}

/** The rarer of the two neighbours tells more. */
function markNeighbour(index: number, { prefix: number, offset }: PrefixPlace): void {
  const prefix = PREFIXES[number];
  if (prefix === undefined) return;
  const { text, exact_case } = prefix;
  const after = text[offset + 2];
  const before = text[offset - 1];
  const by_after = before === undefined ||
    after !== undefined && weight(after.toLowerCase()) <= weight(before.toLowerCase());
  for (const byte of writtenAs((by_after ? after : before) ?? "", exact_case)) {
    neighbours[by_after ? index | byte : index | 256 | byte] = 1;
  }
}

function writtenAs(character: string, exact_case: boolean): ReadonlySet<number> {
  const forms = exact_case ? [character] : [character.toLowerCase(), character.toUpperCase()];
  return new Set(forms.map((form) => form.charCodeAt(0)));
}

function addPlace(pair: number, place: PrefixPlace): void {
  if (place_of_pair[pair] === 0) place_of_pair[pair] = PLACES.push([]);
  PLACES[(place_of_pair[pair] as number) - 1]?.push(place);
}

/** How common a pair of characters is in text and code, roughly. */
function frequency({ text, exact_case }: Prefix, at: number): number {
  const pair = text.slice(at, at + 2);
  // Where case does not matter, the small letters are looked for too.
  const seen = exact_case ? pair : pair.toLowerCase();
  const times = COMMON_PAIRS.has(seen) ? 4 : 1;
  return times * weight(seen[0] ?? "") * weight(seen[1] ?? "");
}

function weight(character: string): number {
  const rank = COMMON.indexOf(character);
  if (rank >= 0) return 30 - rank;
  if (/[A-Z]/.test(character)) return 3;
  if (/[0-9]/.test(character)) return 10;
  if (character === '"') return 25;
  return /[-/=.:]/.test(character) ? 12 : 5;
}
