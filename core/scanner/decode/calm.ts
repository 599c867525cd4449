/**
 * Whether the escapes of a text can hide anything. Source code and JSON are full of `\n`, `\"` and
 * `\\`, which write no part of a key; where nothing near them could become a finding, taking them
 * off is work for nothing. `false` must be wrong never, `true` may be wrong.
 *
 * What taking off such an escape can change, and what is looked at for it:
 *
 * - a letter no longer glued to what follows: long runs, digits, IBANs right behind an escape;
 * - a prefix with a quote or a line break in it: {@linkcode SPLIT_PREFIXES};
 * - base64 over lines: a long run before a line break, written or escaped;
 * - a list of hex pairs over lines: pairs on both sides of an escape;
 * - spans over quotes and backslashes: they begin with a prefix, so the caller asks for this only
 *   where no prefix stands in the text;
 * - texts in pieces: see `joints.ts`.
 *
 * @module
 */
import { CLASS, HEX } from "../byte_class.ts";
import { isDigitByte } from "../pair_table.ts";
import { PREFIXES } from "../detectors/prefix.ts";
import { SCANNER_LIMITS } from "../limits.ts";
import type { Utf8Text } from "../utf8.ts";
import { UnitReader } from "./escapes.ts";

const BLOCK_BYTES = 8;
/** Lines of wrapped base64 are at least this long (`base64.ts`). */
const LINE_CHARS_MIN = 32;
/** Digits and separators in a row that may be part of a number that is looked for. */
const NUMBER_BYTES_MIN = 8;
/** As many separators stand between two pairs of hex at most (`hex.ts`). */
const HEX_GAP_BYTES_MAX = 16;

/** A prefix with a sign in it that may be written by an escape, parted at that sign. */
interface SplitPrefix {
  readonly sign: number;
  /** In lower case, as the rest. */
  readonly before: string;
  readonly after: string;
}

/** A quote in front needs none: it stands there as written, too. */
const SPLIT_PREFIXES: readonly SplitPrefix[] = PREFIXES.flatMap(({ text }) =>
  [...text].flatMap((sign, index) => {
    const split = "\n\r\t".includes(sign) || index > 0 && "\"'`\\".includes(sign);
    const before = text.slice(0, index).toLowerCase().replaceAll(/["'`]/g, "");
    const after = text.slice(index + 1).toLowerCase();
    return split ? [{ sign: sign.charCodeAt(0), before, after }] : [];
  })
);

/** What `\n`, `\r`, `\t`, `\"`, `\'`, a backtick and `\\` write; 0 for every other letter. */
const CALM = new Uint8Array(256);
CALM[0x6e] = 0x0a;
CALM[0x72] = 0x0d;
CALM[0x74] = 0x09;
for (const quote of [0x22, 0x27, 0x60]) CALM[quote] = quote;

/**
 * True when an escape may matter.
 *
 * @param blocks Every eight bytes of the text that hold the first sign of an escape, by their start;
 *   more of them than `SCANNER_LIMITS.calm_escape_blocks` are not looked at.
 * @param long_runs Start and end of every run of 16 base64 characters or more.
 */
export function escapesMatter(
  text: Utf8Text,
  blocks: readonly number[],
  long_runs: readonly number[],
): boolean {
  if (blocks.length > SCANNER_LIMITS.calm_escape_blocks) return true;
  if (runsMatter(text.bytes, long_runs)) return true;
  const { bytes, length } = text;
  const units = new UnitReader(text);
  let next = 0;
  for (const block of blocks) {
    const end = Math.min(length, block + BLOCK_BYTES);
    for (let at = Math.max(block, next); at < end; at++) {
      const byte = bytes[at];
      if (byte === 0x5c) {
        next = calmEnd(bytes, at, units);
        if (next < 0) return true;
        at = next - 1;
      } else if ((byte === 0x25 || byte === 0x26) && units.read(at)) return true;
    }
  }
  return false;
}

/** A run that begins with the letter of an escape, or that a next line may continue. */
function runsMatter(bytes: Uint8Array, long_runs: readonly number[]): boolean {
  for (let index = 0; index + 1 < long_runs.length; index += 2) {
    const from = long_runs[index] as number;
    const end = long_runs[index + 1] as number;
    if (from > 0 && bytes[from - 1] === 0x5c) return true;
    if (end - from < LINE_CHARS_MIN) continue;
    const next = bytes[end];
    if (next === 0x0a || next === 0x0d || next === 0x5c) return true;
  }
  return false;
}

/** Behind the backslashes at a place, and the letter that they escape; -1 when they may matter. */
function calmEnd(bytes: Uint8Array, at: number, units: UnitReader): number {
  let letter = at + 1;
  while (bytes[letter] === 0x5c) letter++;
  // More than two may write an escape that writes another.
  if (letter - at > 2) return -1;
  const written = CALM[bytes[letter] ?? 0] as number;
  if (written !== 0) return unitMatters(bytes, at, letter + 1, written) ? -1 : letter + 1;
  const matters = units.read(letter - 1) || letter - at === 2 && behindMatters(bytes, letter);
  return matters ? -1 : letter;
}

/** @param end Behind the escape, which starts at `from`. */
function unitMatters(bytes: Uint8Array, from: number, end: number, written: number): boolean {
  if (behindMatters(bytes, end)) return true;
  for (const { sign, before, after } of SPLIT_PREFIXES) {
    if (sign !== written) continue;
    const start = from - before.length;
    if (
      start >= 0 && holdsAt(bytes, start, before) && (before !== "" || holdsAt(bytes, end, after))
    ) return true;
  }
  return written < 0x20 && endsPair(bytes, from) && startsPair(bytes, end);
}

/** A number or an IBAN begins here. */
function behindMatters(bytes: Uint8Array, at: number): boolean {
  if (isCapital(bytes[at]) && isCapital(bytes[at + 1]) && isDigit(bytes[at + 2])) return true;
  for (let index = 0; index < NUMBER_BYTES_MIN; index++) {
    if (!isDigitByte(bytes[at + index] ?? 0)) return false;
  }
  return true;
}

function isCapital(byte = 0): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function isDigit(byte = 0): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function holdsAt(bytes: Uint8Array, from: number, lower: string): boolean {
  for (let index = 0; index < lower.length; index++) {
    const byte = bytes[from + index] ?? 0;
    const small = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (small !== lower.charCodeAt(index)) return false;
  }
  return true;
}

/** Two digits of hex and no third, before the signs that set pairs apart and before escapes. */
function endsPair(bytes: Uint8Array, end: number): boolean {
  let at = end;
  while (at > 0 && end - at < HEX_GAP_BYTES_MAX && isPairSign(bytes[at - 1])) at--;
  return isHex(bytes[at - 1]) && isHex(bytes[at - 2]) && !isHex(bytes[at - 3]);
}

function startsPair(bytes: Uint8Array, from: number): boolean {
  let at = from;
  while (at - from < HEX_GAP_BYTES_MAX && isPairSign(bytes[at])) at++;
  if (bytes[at] === 0x30 && ((bytes[at + 1] ?? 0) | 0x20) === 0x78) return true;
  // Another escape stands before the pair, and is judged by itself.
  if (bytes[at] === 0x5c) return true;
  return isHex(bytes[at]) && isHex(bytes[at + 1]) && !isHex(bytes[at + 2]);
}

function isHex(byte = 0): boolean {
  return ((CLASS[byte] as number) & HEX) !== 0;
}

function isPairSign(byte = 0): boolean {
  return byte === 0x20 || byte === 0x2c || byte === 0x3a || byte === 0x2d || byte === 0x09 ||
    byte === 0x0a || byte === 0x0d;
}
