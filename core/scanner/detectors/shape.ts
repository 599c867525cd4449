/**
 * What a token is made of: runs of characters, joined by fixed ones. The part of a regular
 * expression that vendors' tokens need, read in linear time.
 *
 * @module
 */
import type { Utf8Text } from "../utf8.ts";

/** `A-Z a-z 0-9 - _`. */
export const BASE64URL = 0x01;
/** `A-Z a-z 0-9`. */
export const LETTERS_DIGITS = 0x02;
/** `0-9 a-f A-F`. */
export const HEX_DIGITS = 0x04;
/** `0-9`. */
export const DECIMAL = 0x08;
/** `A-Z 0-9`. */
export const CAPITALS_DIGITS = 0x10;
/** `A-Z a-z 0-9 + / = - _`. */
export const BASE64_PADDED = 0x20;
/** `A-Z a-z 0-9 - _ . ~`: what a URL holds without escapes. */
export const UNRESERVED = 0x40;
/** Visible ASCII but for quotes, `, ; ) ] } & < > \` and the back-quote. */
export const OPAQUE = 0x80;
/** `A-Z a-z 0-9 - . _ ~ + / =`: a token of RFC 7235 §2.1. */
export const TOKEN68 = 0x100;

const MEMBERS: readonly (readonly [bit: number, pattern: RegExp])[] = [
  [BASE64URL, /[A-Za-z0-9_-]/],
  [LETTERS_DIGITS, /[A-Za-z0-9]/],
  [HEX_DIGITS, /[0-9A-Fa-f]/],
  [DECIMAL, /[0-9]/],
  [CAPITALS_DIGITS, /[A-Z0-9]/],
  [BASE64_PADDED, /[A-Za-z0-9+/=_-]/],
  [UNRESERVED, /[A-Za-z0-9_.~-]/],
  [OPAQUE, /[^"'`,;)\]}&<>\\]/],
  [TOKEN68, /[A-Za-z0-9._~+/=-]/],
];

/** Shape bits of each byte value. */
export const SHAPE: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  if (byte <= 0x20 || byte >= 0x7f) return 0;
  const character = String.fromCharCode(byte);
  return MEMBERS.reduce((bits, [bit, pattern]) => pattern.test(character) ? bits | bit : bits, 0);
});

/** A run of characters of one class. */
export interface Run {
  readonly chars: number;
  /** Characters it has at least. */
  readonly least: number;
  /** Lengths that the vendor gives out, both included; only looked at in strict mode. */
  readonly issued?: readonly [least: number, most: number];
}

/** Runs, joined by single characters such as `.`. */
export type Shape = readonly (Run | string)[];

/**
 * A run of a class.
 *
 * @param least Characters it has at least.
 * @param issued What the vendor gives out: one length, or the shortest and the longest.
 */
export function chars(chars: number, least: number, ...issued: readonly number[]): Run {
  const [shortest, longest = shortest] = issued;
  return shortest === undefined || longest === undefined
    ? { chars, least }
    : { chars, least, issued: [shortest, longest] };
}

/** Reads shapes in one text; runs that are asked for again and again are walked once. */
export class ShapeReader {
  readonly #text: Utf8Text;
  readonly #from = new Map<number, number>();
  readonly #end = new Map<number, number>();

  constructor(text: Utf8Text) {
    this.#text = text;
  }

  /** End of the shape at `from`, or -1 where the text has another. */
  end(shape: Shape, from: number, strict: boolean): number {
    let at = from;
    for (const part of shape) {
      if (typeof part === "string") {
        if (this.#text.bytes[at] !== part.charCodeAt(0)) return -1;
        at++;
        continue;
      }
      const end = this.runEnd(part.chars, at);
      const size = end - at;
      if (size < part.least) return -1;
      if (strict && part.issued !== undefined) {
        if (size < part.issued[0] || size > part.issued[1]) return -1;
      }
      at = end;
    }
    return at;
  }

  /** End of the run of a class that starts at `from`. */
  runEnd(bit: number, from: number): number {
    const known_from = this.#from.get(bit) ?? -1;
    const known_end = this.#end.get(bit) ?? -1;
    if (from >= known_from && from <= known_end) return known_end;
    const { bytes } = this.#text;
    let at = from;
    // INVARIANT: the padding behind the text belongs to no class.
    while (((SHAPE[bytes[at] as number] as number) & bit) !== 0) {
      at++;
      if (at === known_from) at = Math.max(at, known_end);
    }
    if (at >= known_end) {
      this.#from.set(bit, from);
      this.#end.set(bit, at);
    }
    return at;
  }
}
