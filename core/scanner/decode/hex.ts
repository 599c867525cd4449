/**
 * Hex in a text: digits in a row, or pairs set apart by spaces, colons, commas or `0x`.
 *
 * @module
 */
import type { Utf8Text } from "../utf8.ts";
import { hexValue } from "./escapes.ts";
import { byteSet } from "./runs.ts";
import { PRINTABLE } from "./text_like.ts";
import { type DecodedView, type OriginMap, viewBuffer, viewOf } from "./view.ts";

/** Shortest list of pairs that is looked at, in bytes of the text: 12 pairs. */
export const HEX_LIST_BYTES_MIN = 35;
const PAIRS_MIN = 12;
const WINDOW_PAIRS = 8;

/** Digits, and what lists of pairs are written with. */
export const HEX_LIST_SET: Uint8Array = byteSet("0123456789abcdefABCDEFxX ,:-\t\r\n");
const SEPARATOR = byteSet(" ,:-\t\r\n");
const DIGIT = byteSet("0123456789abcdefABCDEF");
const SEPARATOR_BYTES_MAX = 16;

const NO_VIEWS: readonly DecodedView[] = [];

/** Views of the hex digits that stand in a row within a range; none for hashes. */
export function hexRow(text: Utf8Text, from: number, to: number): readonly DecodedView[] {
  let views: DecodedView[] | undefined;
  let start = from;
  for (let at = from; at <= to; at++) {
    if (at < to && DIGIT[text.bytes[at] as number] === 1) continue;
    if (at - start >= PAIRS_MIN * 2) {
      for (let first = start; first < start + 2; first++) {
        const from = first;
        const view = decodePairs(text, (at - from) >> 1, (pair) => from + pair * 2);
        if (view !== undefined) (views ??= []).push(view);
      }
    }
    start = at + 1;
  }
  return views ?? NO_VIEWS;
}

/** The view of pairs set apart from each other, within a range of {@linkcode HEX_LIST_SET}. */
export function hexList(text: Utf8Text, from: number, to: number): DecodedView[] {
  const { bytes } = text;
  const views: DecodedView[] = [];
  let places: number[] = [];
  const flush = (): void => {
    const list = places;
    const view = decodePairs(text, list.length, (pair) => list[pair] ?? 0);
    if (view !== undefined) views.push(view);
    places = [];
  };
  let at = from;
  while (at < to) {
    const gap = at;
    while (at < to && SEPARATOR[bytes[at] as number] === 1) at++;
    if (at - gap > SEPARATOR_BYTES_MAX) flush();
    if (bytes[at] === 0x30 && ((bytes[at + 1] as number) | 0x20) === 0x78) at += 2;
    const digits = at;
    while (at < to && DIGIT[bytes[at] as number] === 1) at++;
    if (at - digits === 2) places.push(digits);
    else {
      flush();
      if (at === digits) at++;
    }
  }
  flush();
  return views;
}

function decodePairs(
  text: Utf8Text,
  pairs: number,
  place: (pair: number) => number,
): DecodedView | undefined {
  if (pairs < PAIRS_MIN || !looksEncoded(text, pairs, place)) return undefined;
  const out = viewBuffer(pairs);
  for (let pair = 0; pair < pairs; pair++) {
    const from = place(pair);
    out[pair] = hexValue(text.bytes, from, from + 2, text.length);
  }
  const origin: OriginMap = {
    start: (at) => at < pairs ? place(at) : place(pairs - 1) + 2,
    end: (at) => at === 0 ? place(0) : place(at - 1) + 2,
    steps: () => ["hex"],
    places: () => [0],
  };
  return viewOf(out, pairs, origin);
}

function looksEncoded(text: Utf8Text, pairs: number, place: (pair: number) => number): boolean {
  const { bytes, length } = text;
  for (let window = 0; window + WINDOW_PAIRS <= pairs; window += WINDOW_PAIRS) {
    let pair = window;
    for (; pair < window + WINDOW_PAIRS; pair++) {
      const from = place(pair);
      const byte = hexValue(bytes, from, from + 2, length);
      if (PRINTABLE[byte] !== 1 && byte !== 0) break;
    }
    if (pair === window + WINDOW_PAIRS) return true;
  }
  return false;
}
