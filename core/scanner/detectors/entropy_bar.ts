/**
 * When bytes look random enough for a secret (contract `interception` §2.6).
 *
 * @module
 */
import { BASE64, classAt } from "../byte_class.ts";

const BITS_GATE = 4.5;
const BITS_RELAXED = 4.25;
const RELAXED_BYTES_MIN = 40;
const RELAXED_SYMBOL_SHARE = 0.1;
const RELAXED_REPEAT_MAX = 3;

/** log2(22) is below the gate: with fewer different bytes no text can clear it. */
export const DISTINCT_MIN = 23;

// Scratch of `clearsBar`; all counts are zero between calls.
const counts = new Int32Array(256);
let distinct = 0;

/** `c * log2(c)` for small counts. */
const COUNT_LOG: Float64Array = Float64Array.from(
  { length: 257 },
  (_, count) => count === 0 ? 0 : count * Math.log2(count),
);

/**
 * True when the Shannon entropy of the bytes, in bits per byte, passes the gate, or the relaxed
 * bar for text that has every other sign of base64.
 *
 * @param from2 Start of a second range that is scored as if it followed the first.
 */
export function clearsBar(
  bytes: Uint8Array,
  from: number,
  to: number,
  from2 = 0,
  to2 = 0,
): boolean {
  const size = to - from + to2 - from2;
  if (size < DISTINCT_MIN || !isDiverse(bytes, from, to, from2, to2)) return false;
  count(bytes, from, to);
  count(bytes, from2, to2);
  distinct = 0;
  const sum = collect(bytes, from, to) + collect(bytes, from2, to2);
  if (distinct < DISTINCT_MIN) return false;
  // A tie with the gate is only possible where every count is a power of two, and then exact.
  const bits = Math.log2(size) - sum / size;
  if (bits > BITS_GATE) return true;
  return bits > BITS_RELAXED && size >= RELAXED_BYTES_MIN &&
    looksLikeBase64(bytes, size, from, to, from2, to2);
}

/** Bit of each byte in one of three words: 0x20 to 0x3f, 0x40 to 0x5f, 0x60 to 0x7f. */
const [WORD_1, WORD_2, WORD_3] = [1, 2, 3].map((word) =>
  Int32Array.from({ length: 256 }, (_, byte) => byte >> 5 === word ? 1 << (byte & 31) : 0)
) as [Int32Array, Int32Array, Int32Array];
/** Bit of the space, which no candidate holds: some byte has no bit of its own. */
const UNCOUNTED = 1;
WORD_1.fill(UNCOUNTED, 0, 0x20).fill(UNCOUNTED, 0x80);

/**
 * False when there are too few different bytes: what ordinary tokens fail, seen without a branch.
 */
function isDiverse(
  bytes: Uint8Array,
  from: number,
  to: number,
  from2: number,
  to2: number,
): boolean {
  let word_1 = 0;
  let word_2 = 0;
  let word_3 = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    word_1 |= WORD_1[byte] as number;
    word_2 |= WORD_2[byte] as number;
    word_3 |= WORD_3[byte] as number;
  }
  for (let at = from2; at < to2; at++) {
    const byte = bytes[at] as number;
    word_1 |= WORD_1[byte] as number;
    word_2 |= WORD_2[byte] as number;
    word_3 |= WORD_3[byte] as number;
  }
  return (word_1 & UNCOUNTED) !== 0 ||
    bitCount(word_1) + bitCount(word_2) + bitCount(word_3) >= DISTINCT_MIN;
}

function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function count(bytes: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    counts[byte] = (counts[byte] as number) + 1;
  }
}

/** Adds up `c * log2(c)` over the different bytes and clears their counts. */
function collect(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    const times = counts[byte] as number;
    if (times === 0) continue;
    distinct++;
    sum += times <= 256 ? COUNT_LOG[times] as number : times * Math.log2(times);
    counts[byte] = 0;
  }
  return sum;
}

/** Nothing but base64, few symbols, no long repeats: the relaxed bar's other conditions. */
function looksLikeBase64(
  bytes: Uint8Array,
  size: number,
  from: number,
  to: number,
  from2: number,
  to2: number,
): boolean {
  let symbols = 0;
  let repeat = 0;
  let previous = -1;
  for (let at = from; at < to2 || at < to; at++) {
    if (at === to) at = from2;
    const byte = bytes[at] as number;
    if ((classAt(bytes, at) & BASE64) === 0) return false;
    if (byte === 0x2b || byte === 0x2f || byte === 0x2d || byte === 0x5f) symbols++;
    repeat = byte === previous ? repeat + 1 : 1;
    if (repeat > RELAXED_REPEAT_MAX) return false;
    previous = byte;
  }
  return symbols <= size * RELAXED_SYMBOL_SHARE;
}
