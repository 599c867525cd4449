/**
 * Phone numbers of Taiwan (contract `interception` §2.9).
 *
 * @module
 */
import { type Characters, codeAt, digit, standsAlone } from "./characters.ts";

/** A phone number; `end` is the index after its last character. */
export interface Phone {
  readonly variant: "mobile" | "landline";
  readonly end: number;
}

/** Area codes without their leading zero, longest first, with the lengths of their subscribers. */
const AREAS: readonly (readonly [area: string, ...subscriber_digits: number[]])[] = [
  ["826", 5],
  ["836", 5],
  ["37", 6],
  ["49", 7],
  ["82", 6],
  ["89", 6],
  ["2", 8],
  ["3", 7],
  ["4", 8, 7],
  ["5", 7],
  ["6", 7],
  ["7", 7],
  ["8", 7],
];

const COUNTRY_CODE = "886";
/** Separators inside one number, at most. */
const SEPARATORS_MAX = 3;

/** The phone number that starts at a place, standing alone. */
export function phoneAt(text: Characters, at: number): Phone | undefined {
  const code = codeAt(text, at);
  if (code === 0x2b || code === 0xff0b) return internationalAt(text, at);
  if (isOpen(code)) return landlineAt(text, at, at + 1, true);
  if (code !== 0x30) return undefined;
  if (digit(text, at + 1) === 9) return mobileAt(text, at, at + 1);
  return landlineAt(text, at, at, false);
}

/** `+886`, perhaps a bracketed or plain zero, then a mobile or a landline number. */
function internationalAt(text: Characters, at: number): Phone | undefined {
  if (!hasDigits(text, at + 1, COUNTRY_CODE)) return undefined;
  let next = skipSeparator(text, at + 1 + COUNTRY_CODE.length);
  if (
    isOpen(codeAt(text, next)) && digit(text, next + 1) === 0 && isClose(codeAt(text, next + 2))
  ) {
    next = skipSeparator(text, next + 3);
  } else if (digit(text, next) === 0) {
    next++;
  }
  if (digit(text, next) === 9) return mobileAt(text, at, next);
  for (const [area, ...lengths] of AREAS) {
    if (!hasDigits(text, next, area)) continue;
    const subscriber = skipSeparator(text, next + area.length);
    const end = subscriberEnd(text, at, subscriber, lengths);
    if (end >= 0) return { variant: "landline", end };
  }
  return undefined;
}

/** `9` and eight more digits, the nine at `nine`. */
function mobileAt(text: Characters, from: number, nine: number): Phone | undefined {
  const end = digitsEnd(text, nine, 9, SEPARATORS_MAX);
  return end >= 0 && standsAlone(text, from, end) ? { variant: "mobile", end } : undefined;
}

/** `0`, an area code, a bracket or separator, and as many digits as that area has. */
function landlineAt(
  text: Characters,
  from: number,
  zero: number,
  bracketed: boolean,
): Phone | undefined {
  if (digit(text, zero) !== 0) return undefined;
  for (const [area, ...lengths] of AREAS) {
    if (!hasDigits(text, zero + 1, area)) continue;
    const after = zero + 1 + area.length;
    const closed = bracketed && isClose(codeAt(text, after));
    const subscriber = skipSeparator(text, closed ? after + 1 : after);
    // Without a mark between area and subscriber this is any number that starts with a zero.
    if (subscriber === after || bracketed && !closed) continue;
    const end = subscriberEnd(text, from, subscriber, lengths);
    if (end >= 0) return { variant: "landline", end };
  }
  return undefined;
}

function subscriberEnd(
  text: Characters,
  from: number,
  subscriber: number,
  lengths: readonly number[],
): number {
  for (const length of lengths) {
    const end = digitsEnd(text, subscriber, length, 1);
    if (end >= 0 && standsAlone(text, from, end)) return end;
  }
  return -1;
}

/** Index after `count` digits with at most `separators` single separators between them, or -1. */
function digitsEnd(text: Characters, from: number, count: number, separators: number): number {
  let at = from;
  let left = separators;
  for (let read = 0; read < count; read++) {
    if (read > 0 && left > 0 && isSeparator(codeAt(text, at))) {
      left--;
      at++;
    }
    if (digit(text, at) < 0) return -1;
    at++;
  }
  return at;
}

function hasDigits(text: Characters, from: number, digits: string): boolean {
  for (let index = 0; index < digits.length; index++) {
    if (codeAt(text, from + index) !== digits.charCodeAt(index)) return false;
  }
  return true;
}

function skipSeparator(text: Characters, at: number): number {
  return isSeparator(codeAt(text, at)) ? at + 1 : at;
}

/** Space and hyphen, either width. */
function isSeparator(code: number): boolean {
  return code === 0x20 || code === 0x2d || code === 0x3000 || code === 0xff0d;
}

function isOpen(code: number): boolean {
  return code === 0x28 || code === 0xff08;
}

function isClose(code: number): boolean {
  return code === 0x29 || code === 0xff09;
}
