/**
 * Where a text can be cut in two so that each part, scanned for itself with a little of what stands
 * around it, gives what the whole gives.
 *
 * @module
 */
import { BASE64, classAt, DIGIT, HEX, SPACE } from "../byte_class.ts";
import { SCANNER_LIMITS } from "../limits.ts";

/** A range that must not be cut, such as a finding. */
export interface Uncut {
  readonly offset: number;
  readonly end: number;
}

/** A line of base64 that goes on in the next is at least this long. */
const WRAPPED_CHARS_MIN = 32;
/** Two runs with fewer characters together are no secret in two halves (contract §2.6, pass 5). */
const SPLIT_CHARS_MIN = 23;

/**
 * The last place to cut at within a range, or -1.
 *
 * A place is good when no finding lies across it and nothing that a detector puts together does:
 * groups of digits, halves of a secret, lines of base64, pairs of hex, quoted pieces, a key block
 * that has not ended.
 *
 * @param bytes Ends with `length`; bytes behind are not read.
 * @param uncut In any order.
 */
export function findCut(
  bytes: Uint8Array,
  length: number,
  from: number,
  to: number,
  uncut: readonly Uncut[],
): number {
  const ranges = unite(uncut, openBlocks(bytes, from, length));
  let range = ranges.length - 1;
  for (let at = Math.min(to, length); at > from;) {
    while (range >= 0 && (ranges[range]?.offset ?? 0) >= at) range--;
    const across = ranges[range];
    if (across !== undefined && across.offset < at && at < across.end) {
      at = across.offset;
      continue;
    }
    if (isGap(bytes, at) && isCalm(bytes, at, length)) return at;
    at--;
  }
  return -1;
}

/**
 * The last place to cut at when the window is full and none is good: behind a bracket or a comma,
 * or else where the range ends.
 */
export function forceCut(
  bytes: Uint8Array,
  from: number,
  to: number,
  uncut: readonly Uncut[],
): number {
  const ranges = unite(uncut, []);
  const crossed = (at: number): boolean =>
    ranges.some(({ offset, end }) => offset < at && at < end);
  const first = ranges.find(({ offset, end }) => offset < to && to < end);
  const limit = first === undefined ? to : first.offset;
  for (let at = limit; at > from && at > limit - 4_096; at--) {
    const before = bytes[at - 1] as number;
    if ((classAt(bytes, at - 1) & BASE64) === 0 && before < 0x80 && !crossed(at)) return at;
  }
  let at = limit;
  while (at > from && ((bytes[at] as number) & 0xc0) === 0x80) at--;
  return at > from ? at : -1;
}

/** The united range of findings that lies across a place. */
export function rangeAcross(uncut: readonly Uncut[], at: number): Uncut | undefined {
  return unite(uncut, []).find(({ offset, end }) => offset < at && at < end);
}

function unite(one: readonly Uncut[], other: readonly Uncut[]): Uncut[] {
  const result: { offset: number; end: number }[] = [];
  for (const { offset, end } of [...one, ...other].sort((a, b) => a.offset - b.offset)) {
    const last = result[result.length - 1];
    if (last !== undefined && offset < last.end) last.end = Math.max(last.end, end);
    else result.push({ offset, end });
  }
  return result;
}

/** Behind ASCII white space, or between two characters outside ASCII. */
function isGap(bytes: Uint8Array, at: number): boolean {
  const before = bytes[at - 1] as number;
  if (before < 0x80) return (classAt(bytes, at - 1) & SPACE) !== 0;
  const after = bytes[at] as number;
  return after >= 0xc0;
}

/** Bytes that join what stands on both sides of white space. */
const GLUE = new Uint8Array(256);
for (const sign of "\"'`+.,&|<>~\\:=") GLUE[sign.charCodeAt(0)] = 1;

function isCalm(bytes: Uint8Array, at: number, length: number): boolean {
  let left = at;
  while (left > 0 && at - left < 64 && (classAt(bytes, left - 1) & SPACE) !== 0) left--;
  let right = at;
  while (right < length && right - at < 64 && (classAt(bytes, right) & SPACE) !== 0) right++;
  const before = left === 0 ? 0x20 : bytes[left - 1] as number;
  const after = right >= length ? 0x20 : bytes[right] as number;
  if (GLUE[before] === 1 && GLUE[after] === 1 || before === 0x5c) return false;
  if (endsNumber(bytes, left) && startsNumber(bytes, right)) return false;
  if (isPair(bytes, left, right, length)) return false;
  const left_chars = runLeft(bytes, left);
  if (left_chars >= WRAPPED_CHARS_MIN && after < 0x80 && before < 0x80) return false;
  return left_chars + runRight(bytes, right, length) < SPLIT_CHARS_MIN;
}

/** A digit of either width, or a wide space, which may stand between groups of them. */
function startsNumber(bytes: Uint8Array, at: number): boolean {
  return (classAt(bytes, at) & DIGIT) !== 0 || isWideForm(bytes, at);
}

function endsNumber(bytes: Uint8Array, at: number): boolean {
  return (classAt(bytes, at - 1) & DIGIT) !== 0 || isWideForm(bytes, at - 3);
}

function isWideForm(bytes: Uint8Array, at: number): boolean {
  const lead = bytes[at];
  return lead === 0xef && bytes[at + 1] === 0xbc ||
    lead === 0xe3 && bytes[at + 1] === 0x80 && bytes[at + 2] === 0x80;
}

/** Two hex digits on the left and two on the right, as lists of bytes have them. */
function isPair(bytes: Uint8Array, left: number, right: number, length: number): boolean {
  let end = left;
  while (end > 0 && (bytes[end - 1] === 0x2c || bytes[end - 1] === 0x3a)) end--;
  if (end < 2 || right + 2 > length) return false;
  const start = bytes[right] === 0x30 && ((bytes[right + 1] as number) | 0x20) === 0x78
    ? right + 2
    : right;
  return isHex(bytes, end - 1) && isHex(bytes, end - 2) && isHex(bytes, start) &&
    isHex(bytes, start + 1);
}

function isHex(bytes: Uint8Array, at: number): boolean {
  return (classAt(bytes, at) & HEX) !== 0;
}

function runLeft(bytes: Uint8Array, end: number): number {
  let at = end;
  while (
    at > 0 && end - at < 80 && ((classAt(bytes, at - 1) & BASE64) !== 0 || bytes[at - 1] === 0x3d)
  ) at--;
  return end - at;
}

function runRight(bytes: Uint8Array, from: number, length: number): number {
  let at = from;
  while (at < length && at - from < 80 && (classAt(bytes, at) & BASE64) !== 0) at++;
  return at - from;
}

const BEGIN = "-----begin ";
const END = "-----end ";

/** Key blocks, from the begin line to behind the end line or as far as one reaches. */
function openBlocks(bytes: Uint8Array, from: number, length: number): Uncut[] {
  const blocks: Uncut[] = [];
  let open = -1;
  const text = bytes.subarray(0, length);
  for (let at = text.indexOf(0x2d, from); at >= 0; at = text.indexOf(0x2d, at + 1)) {
    if (isMarker(bytes, at, length, BEGIN)) {
      if (open >= 0) blocks.push({ offset: open, end: at + BEGIN.length });
      open = at;
      at += BEGIN.length - 1;
    } else if (open >= 0 && isMarker(bytes, at, length, END)) {
      const line = text.indexOf(0x0a, at);
      const end = line < 0 || line > at + END_LINE_BYTES_MAX ? at + END_LINE_BYTES_MAX : line;
      blocks.push({ offset: open, end });
      open = -1;
      at += END.length - 1;
    }
  }
  if (open >= 0) {
    blocks.push({ offset: open, end: open + SCANNER_LIMITS.key_block_bytes + END_LINE_BYTES_MAX });
  }
  return blocks;
}

const END_LINE_BYTES_MAX = 256;

/** A marker without regard to case; one that the text ends in may become one. */
function isMarker(bytes: Uint8Array, at: number, length: number, marker: string): boolean {
  const end = Math.min(marker.length, length - at);
  for (let index = 0; index < end; index++) {
    const byte = bytes[at + index] as number;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== marker.charCodeAt(index)) return false;
  }
  return true;
}
