/**
 * Card numbers and social security numbers (contract `interception` §2.4).
 *
 * A chain is a sequence of digits, ASCII or full-width, with single separators between them. The
 * reference judges a chain as a whole; here numbers inside a longer chain are found as well, and
 * numbers that no issuer hands out are left alone (trap S9).
 *
 * @module
 */
import { isDigitByte, isSeparatorByte } from "../pair_table.ts";
import { Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";
import { ibanAround } from "./iban.ts";
import { hasIssuer, isIssued, luhn } from "./card.ts";

/** Characters of a chain that is judged as a whole, digits and separators together. */
const CHAIN_CHARS_MAX = 24;
const CARD_DIGITS_MIN = 13;
const CARD_DIGITS_MAX = 19;
/** How cards are printed, in groups of digits. */
const CARD_SHAPES: readonly (readonly number[])[] = [
  [4, 4, 4, 4],
  [4, 6, 5],
  [4, 6, 4],
  [4, 4, 4, 4, 3],
];
const SSN_SHAPE: readonly number[] = [3, 2, 4];
/** Bytes before a dotted number in which it must be called a social security number. */
const SSN_CONTEXT_BYTES = 32;

type Separator = "space" | "hyphen" | "dot";

/** Digits in a row; `values` are 0 to 9. */
interface Group {
  readonly offset: number;
  end: number;
  readonly values: number[];
  /** What stands between this group and the next; absent for the last. */
  separator?: Separator;
}

/** Finds cards, social security numbers and IBANs in one walk. */
export function findDigits(text: Utf8Text, spans: Spans, strict: boolean): void {
  let at = 0;
  while (at < text.length) at = judgeAt(text, at, spans, strict);
}

/** Judges the chain that starts at a place, if one does; returns where to go on. */
function judgeAt(text: Utf8Text, at: number, spans: Spans, strict: boolean): number {
  if (digitAt(text, at) < 0) return at + 1;
  const end = plainChainEnd(text, at);
  if (end >= 0) return end;
  const groups = readChain(text, at);
  judgeChain(text, groups, spans, strict);
  return groups[groups.length - 1]?.end ?? at + 1;
}

/** Judges the chains of digits of a text, woken where one may be. */
export class DigitWatch {
  readonly #text: Utf8Text;
  readonly #strict: boolean;
  readonly spans: Spans = new Spans();
  /** No chain goes on beyond this place that was not judged. */
  #done = 0;

  constructor(text: Utf8Text, strict: boolean) {
    this.#text = text;
    this.#strict = strict;
  }

  /** Judges the chain around a place. */
  seen(place: number): void {
    if (place < this.#done) return;
    const { bytes } = this.#text;
    let from = place;
    while (from > this.#done && mayPrecede(bytes[from - 1] as number, bytes[from] as number)) {
      from--;
    }
    const end = this.#tooShort(from);
    if (end > place) {
      this.#done = end;
      return;
    }
    while (from <= place) from = judgeAt(this.#text, from, this.spans, this.#strict);
    this.#done = from;
  }

  /**
   * Where the digits and separators from a place on end, when there are fewer digits than the
   * shortest number has, as in most dates and times; else -1.
   */
  #tooShort(from: number): number {
    const { bytes } = this.#text;
    let digits = 0;
    for (let at = from; digits < CHAIN_DIGITS_MIN; at++) {
      const byte = bytes[at] as number;
      if (byte >= 0x30 && byte <= 0x39 || byte >= 0x90 && byte <= 0x99) digits++;
      else if (
        !isDigitByte(byte) || isSeparatorByte(byte) && isSeparatorByte(bytes[at + 1] as number)
      ) return at + 1;
    }
    return -1;
  }
}

/** Two neighbouring bytes that may belong to one chain: not two separators. */
function mayPrecede(byte: number, next: number): boolean {
  return isDigitByte(byte) && isDigitByte(next) &&
    !(isSeparatorByte(byte) && isSeparatorByte(next));
}

const CHAIN_DIGITS_MIN = 9;

/** Value of the digit at a place, ASCII or U+FF10 to U+FF19, or -1. */
function digitAt({ bytes, length }: Utf8Text, at: number): number {
  if (at >= length) return -1;
  const byte = bytes[at] ?? 0;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  if (byte !== 0xef || bytes[at + 1] !== 0xbc || at + 2 >= length) return -1;
  const last = bytes[at + 2] ?? 0;
  return last >= 0x90 && last <= 0x99 ? last - 0x90 : -1;
}

function separatorAt(
  { bytes }: Utf8Text,
  at: number,
): { kind: Separator; bytes: number } | undefined {
  switch (bytes[at]) {
    case 0x20:
      return { kind: "space", bytes: 1 };
    case 0x2d:
      return { kind: "hyphen", bytes: 1 };
    case 0x2e:
      return { kind: "dot", bytes: 1 };
    case 0xe3:
      return bytes[at + 1] === 0x80 && bytes[at + 2] === 0x80
        ? { kind: "space", bytes: 3 }
        : undefined;
    case 0xef:
      if (bytes[at + 1] !== 0xbc) return undefined;
      if (bytes[at + 2] === 0x8d) return { kind: "hyphen", bytes: 3 };
      return bytes[at + 2] === 0x8e ? { kind: "dot", bytes: 3 } : undefined;
    default:
      return undefined;
  }
}

/**
 * End of a chain of ASCII digits whose groups have none of the sizes that anything is written in,
 * such as the numbers of a log line; -1 when the chain is worth reading.
 */
function plainChainEnd({ bytes }: Utf8Text, from: number): number {
  let at = from;
  let digits = 0;
  let before = 0;
  for (;;) {
    const start = at;
    while (isAsciiDigit(bytes[at] as number)) at++;
    const size = at - start;
    digits += size;
    const paired = before === 4 && (size === 4 || size === 6) || before === 3 && size === 2;
    if (paired || size >= CHAIN_DIGITS_MIN) return -1;
    const byte = bytes[at] as number;
    // Full-width forms are left to the reader of chains.
    if (byte >= 0x80) return -1;
    if (!isSeparatorByte(byte)) break;
    if (!isAsciiDigit(bytes[at + 1] as number)) {
      if ((bytes[at + 1] as number) >= 0x80) return -1;
      break;
    }
    before = size;
    at++;
  }
  const chars = at - from;
  return digits >= CARD_DIGITS_MIN && chars <= CHAIN_CHARS_MAX ? -1 : at;
}

function isAsciiDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function readChain(text: Utf8Text, from: number): Group[] {
  const groups: Group[] = [];
  let at = from;
  for (;;) {
    const group: Group = { offset: at, end: at, values: [] };
    for (let value = digitAt(text, at); value >= 0; value = digitAt(text, at)) {
      group.values.push(value);
      at += (text.bytes[at] ?? 0) < 0x80 ? 1 : 3;
    }
    group.end = at;
    groups.push(group);
    const separator = separatorAt(text, at);
    if (separator === undefined || digitAt(text, at + separator.bytes) < 0) return groups;
    group.separator = separator.kind;
    at += separator.bytes;
  }
}

function judgeChain(
  text: Utf8Text,
  groups: readonly Group[],
  spans: Spans,
  strict: boolean,
): void {
  const digits = groups.reduce((sum, group) => sum + group.values.length, 0);
  if (digits < CHAIN_DIGITS_MIN) return;
  const iban = ibanAround(text, groups[0]?.offset ?? 0);
  if (iban !== undefined) {
    spans.add("GenericHighEntropy", iban.offset, iban.end, { detector: "iban", verified: true });
    return;
  }
  if (digits + groups.length - 1 <= CHAIN_CHARS_MAX && wholeCard(groups, digits, strict)) {
    add(spans, "CreditCardLuhn", groups);
    return;
  }
  for (let first = 0; first < groups.length;) {
    first += windowAt(text, groups, first, spans, strict);
  }
}

/** Judges what starts at one group of a chain; returns how many groups are done with. */
function windowAt(
  text: Utf8Text,
  groups: readonly Group[],
  first: number,
  spans: Spans,
  strict: boolean,
): number {
  const size = groups[first]?.values.length ?? 0;
  // Groups of other sizes start nothing; most groups of a long chain end here.
  if (size < CARD_DIGITS_MIN && size !== 3 && size !== 4) return 1;
  const before = groups[first - 1]?.separator;
  const ssn = groups.slice(first, first + SSN_SHAPE.length);
  if (hasShape(ssn, SSN_SHAPE) && standsFree(before, ssn) && isSsn(text, ssn, strict)) {
    add(spans, "SsnPattern", ssn);
    return ssn.length;
  }
  for (const shape of [[size], ...CARD_SHAPES]) {
    const card = groups.slice(first, first + shape.length);
    if (!hasShape(card, shape) || !standsFree(before, card)) continue;
    if (new Set(inner(card)).size <= 1 && isCard(card, strict)) {
      add(spans, "CreditCardLuhn", card);
      return card.length;
    }
  }
  return 1;
}

function add(spans: Spans, kind: "CreditCardLuhn" | "SsnPattern", groups: readonly Group[]): void {
  spans.add(kind, groups[0]?.offset ?? 0, groups[groups.length - 1]?.end ?? 0);
}

function hasShape(groups: readonly Group[], shape: readonly number[]): boolean {
  return groups.length === shape.length &&
    groups.every((group, index) => group.values.length === shape[index]);
}

/** The separators between the groups. */
function inner(groups: readonly Group[]): (Separator | undefined)[] {
  return groups.slice(0, -1).map((group) => group.separator);
}

/** True when the groups are set off from the rest of their chain by spaces. */
function standsFree(before: Separator | undefined, groups: readonly Group[]): boolean {
  const after = groups[groups.length - 1]?.separator;
  return (before === undefined || before === "space") && (after === undefined || after === "space");
}

function wholeCard(groups: readonly Group[], digits: number, strict: boolean): boolean {
  if (digits < CARD_DIGITS_MIN || digits > CARD_DIGITS_MAX) return false;
  // With a dot in it the chain is a decimal number or a version, unless it is grouped as cards are.
  const dotted = inner(groups).includes("dot");
  if (dotted && !CARD_SHAPES.some((shape) => hasShape(groups, shape))) return false;
  return isCard(groups, strict);
}

function isCard(groups: readonly Group[], strict: boolean): boolean {
  const digits = groups.flatMap((group) => group.values);
  return digits.length >= CARD_DIGITS_MIN && digits.length <= CARD_DIGITS_MAX &&
    (strict ? isIssued(digits) : hasIssuer(digits)) && luhn(digits);
}

function isSsn(text: Utf8Text, groups: readonly Group[], strict: boolean): boolean {
  const separators = inner(groups);
  if (separators.includes("space")) return false;
  // Three numbers with dots are more often a version than a person.
  if (separators.includes("dot") && !calledSsn(text, groups[0]?.offset ?? 0)) return false;
  const [area, group, serial] = groups.map((part) =>
    part.values.reduce((value, digit) => value * 10 + digit, 0)
  );
  if (area === undefined || group === undefined || serial === undefined) return false;
  if (area === 0 || area === 666 || group === 0 || serial === 0) return false;
  // 9xx is never an SSN, but with these groups it is a taxpayer number of the same form.
  if (strict && ADVERTISED.has(area * 1_000_000 + group * 10_000 + serial)) return false;
  return area < 900 || (group >= 50 && group !== 89 && group !== 93 && group !== 66);
}

/** Numbers printed in advertisements, which the Social Security Administration has withdrawn. */
const ADVERTISED: ReadonlySet<number> = new Set([78_05_1120, 219_09_9999, 123_45_6789]);

function calledSsn({ bytes }: Utf8Text, offset: number): boolean {
  const from = Math.max(0, offset - SSN_CONTEXT_BYTES);
  let context = "";
  for (let at = from; at < offset; at++) context += String.fromCharCode((bytes[at] ?? 0) | 0x20);
  return context.includes("ssn") || context.includes("social");
}
