/**
 * Secrets written in pieces: quoted fragments joined by `+`, `.`, `,`, `&`, or by nothing but white
 * space, as source code joins them.
 *
 * @module
 */
import { PAIR_SIGNS, QUOTE as QUOTE_SIGN } from "../pair_table.ts";
import type { Utf8Text } from "../utf8.ts";
import { type DecodedView, ViewBuilder } from "./view.ts";

/** A fragment longer than this is no piece of a secret. */
const FRAGMENT_BYTES_MAX = 512;
const GLUE_BYTES_MAX = 96;
/** Shortest joined text that can be a secret with a prefix. */
const CHAIN_BYTES_MIN = 16;

const QUOTES = [0x22, 0x27, 0x60] as const;
/** 1 for quotes. */
const QUOTE = new Uint8Array(256);
for (const byte of QUOTES) QUOTE[byte] = 1;
/** 1 for signs by which languages join texts. */
const OPERATOR = new Uint8Array(256);
for (const sign of "+.,&|<>~") OPERATOR[sign.charCodeAt(0)] = 1;

/** Fragments put together, each chain on a line of its own. */
export interface Joined {
  readonly view: DecodedView;
  /** Decoded places at which fragments meet over a comma: lists are written so as well. */
  readonly commas: readonly number[];
}

/** All chains of a text; `undefined` when it has none. */
export function joinFragments(text: Utf8Text): Joined | undefined {
  const joined = join(text, false);
  return joined === ESCAPED ? undefined : joined;
}

/** What {@linkcode joinCalmly} answers where chains can be told only without the escapes. */
export const ESCAPED = "escaped";

/**
 * The same for a text with escapes, as long as no escape stands in or at what may be a chain:
 * {@linkcode ESCAPED} may be wrong, never missing.
 */
export function joinCalmly(text: Utf8Text): Joined | typeof ESCAPED | undefined {
  return join(text, true);
}

function join(text: Utf8Text, calmly: boolean): Joined | typeof ESCAPED | undefined {
  const { bytes, pairs, length } = text;
  let builder: ViewBuilder | undefined;
  const commas: number[] = [];
  const chain = new Chain(text);
  let next = 0;
  // INVARIANT: the padding behind a text is wider than four pairs.
  for (let block = 0; block < length; block += 8) {
    if (!holdsQuote(pairs, block >> 1)) continue;
    for (let at = Math.max(block, next); at < block + 8 && at < length; at++) {
      if (QUOTE[bytes[at] as number] === 0) continue;
      // Most quotes have a letter, a colon or a bracket behind them.
      const behind = bytes[at + 1] as number;
      if (OPERATOR[behind] === 0 && behind > 0x20 && behind !== 0x5c) continue;
      if (calmly && chain.isEscaped(at)) return ESCAPED;
      if (!chain.read(at)) continue;
      if (calmly && (chain.isEscaped(chain.end) || holdsBackslash(bytes, chain))) return ESCAPED;
      builder ??= new ViewBuilder(bytes, length + (length >> 1) + 1);
      write(chain, builder, commas);
      at = chain.end;
      next = at + 1;
    }
  }
  return builder && { view: builder.finish(length), commas };
}

/** Whether one of eight bytes is a quote; where none is, this costs four look-ups. */
function holdsQuote(pairs: Uint16Array, pair: number): boolean {
  const signs = (PAIR_SIGNS[pairs[pair] as number] as number) |
    (PAIR_SIGNS[pairs[pair + 1] as number] as number) |
    (PAIR_SIGNS[pairs[pair + 2] as number] as number) |
    (PAIR_SIGNS[pairs[pair + 3] as number] as number);
  return (signs & QUOTE_SIGN) !== 0;
}

/** Writes the pieces of a chain as a line. */
function write(chain: Chain, builder: ViewBuilder, commas: number[]): void {
  const { pieces } = chain;
  for (let piece = 0; piece < chain.pieces_size; piece += 2) {
    if (piece > 0 && chain.commas[piece / 2 - 1] === true) commas.push(builder.size);
    if (piece > 0) builder.unit(pieces[piece - 1] ?? 0, [], "joined");
    builder.copy(pieces[piece] ?? 0, pieces[piece + 1] ?? 0);
  }
  builder.unit(chain.end, [0x0a], "joined");
}

/** Printable ASCII without white space and brackets: what keys and addresses are made of. */
const TOKEN = new Uint8Array(256).fill(1, 0x21, 0x7f);
for (const sign of ",;(){}") TOKEN[sign.charCodeAt(0)] = 0;

/** Reads one chain at a time; its fields hold until the next. */
class Chain {
  readonly #text: Utf8Text;
  /** Pairs of start and end; only the first {@linkcode pieces_size} numbers are of this chain. */
  readonly pieces: number[] = [];
  pieces_size = 0;
  /** For each joint, whether it is a comma. */
  readonly commas: boolean[] = [];
  /** The closing quote of the last piece. */
  end = 0;
  /** The quote that opens the next piece. */
  #open = 0;
  #comma = false;

  constructor(text: Utf8Text) {
    this.#text = text;
  }

  /** Reads the chain whose first piece ends at a closing quote; false when there is none. */
  read(close: number): boolean {
    const { bytes, length } = this.#text;
    if (!this.#glue(close)) return false;
    let stop = fragmentEnd(bytes, this.#open + 1, length);
    if (stop < 0) return false;
    const first = fragmentStart(bytes, close);
    if (first < 0) return false;
    // The arrays keep their memory: most chains are two words of a list and end here.
    this.pieces[0] = first;
    this.pieces[1] = close;
    this.pieces_size = 2;
    let size = close - first;
    do {
      const start = this.#open + 1;
      this.commas[this.pieces_size / 2 - 1] = this.#comma;
      this.pieces[this.pieces_size++] = start;
      this.pieces[this.pieces_size++] = stop;
      size += stop - start;
      this.end = stop;
      stop = this.#glue(stop) ? fragmentEnd(bytes, this.#open + 1, length) : -1;
    } while (stop >= 0);
    return size >= CHAIN_BYTES_MIN && hasDigit(bytes, first, this.end);
  }

  /**
   * Whether an escape stands in the joint behind a closing quote or in the pieces on its sides. Wider
   * than {@linkcode read}: escaped white space is white space, and lengths count escapes.
   */
  isEscaped(close: number): boolean {
    const { bytes, length } = this.#text;
    const open = looseGlue(bytes, close, length);
    if (open < 0) return false;
    const end = Math.min(length, open + ESCAPED_BYTES_MAX);
    let stop = open + 1;
    while (stop < end && QUOTE[bytes[stop] as number] === 0) {
      if (TOKEN[bytes[stop] as number] === 0) return false;
      stop++;
    }
    const start = Math.max(0, close - ESCAPED_BYTES_MAX);
    let first = close - 1;
    while (first >= start && QUOTE[bytes[first] as number] === 0) {
      if (TOKEN[bytes[first] as number] === 0) return false;
      first--;
    }
    return holds(bytes, 0x5c, first + 1, stop);
  }

  /** Whether what follows a closing quote joins it to another text; finds that one's quote. */
  #glue(close: number): boolean {
    const { bytes, length } = this.#text;
    const limit = Math.min(length, close + GLUE_BYTES_MAX);
    let operators = 0;
    this.#comma = false;
    for (let at = close + 1; at < limit; at++) {
      const byte = bytes[at] as number;
      if (QUOTE[byte] === 1) {
        this.#open = at;
        // `""` within a text is a quote in SQL, not two texts.
        return at > close + 1;
      }
      if (byte === 0x2c) this.#comma = true;
      if (OPERATOR[byte] === 1) operators++;
      else if (byte > 0x20 && byte !== 0x5c) return false;
      if (operators > 2) return false;
    }
    return false;
  }
}

/** Room for a fragment, or for glue, that is written in escapes. */
const ESCAPED_BYTES_MAX = 3 * FRAGMENT_BYTES_MAX;

/** The quote that a joint may lead to, whose white space may be escaped, or -1. */
function looseGlue(bytes: Uint8Array, close: number, length: number): number {
  const limit = Math.min(length, close + 3 * GLUE_BYTES_MAX);
  let operators = 0;
  for (let at = close + 1; at < limit; at++) {
    const byte = bytes[at] as number;
    if (QUOTE[byte] === 1) return at > close + 1 ? at : -1;
    if (OPERATOR[byte] === 1) operators++;
    else if (byte > 0x20 && byte !== 0x5c && !isEscapedSpace(bytes, at)) return -1;
    if (operators > 2) return -1;
  }
  return -1;
}

/** The letter of `\n`, `\r` or `\t`. */
function isEscapedSpace(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at];
  return (byte === 0x6e || byte === 0x72 || byte === 0x74) && bytes[at - 1] === 0x5c;
}

function holdsBackslash(bytes: Uint8Array, { pieces, end }: Chain): boolean {
  return holds(bytes, 0x5c, pieces[0] ?? 0, end);
}

function holds(bytes: Uint8Array, wanted: number, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] === wanted) return true;
  return false;
}

/** Secrets have digits; most lists of words do not. */
function hasDigit(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x30 && byte <= 0x39) return true;
  }
  return false;
}

/** Start of the fragment that ends before a closing quote, or -1. */
function fragmentStart(bytes: Uint8Array, close: number): number {
  const limit = Math.max(0, close - FRAGMENT_BYTES_MAX);
  for (let at = close - 1; at >= limit; at--) {
    const byte = bytes[at] as number;
    if (QUOTE[byte] === 1) return at + 1 < close ? at + 1 : -1;
    if (TOKEN[byte] === 0) return -1;
  }
  return -1;
}

/** End of the fragment that starts here: its closing quote, or -1. */
function fragmentEnd(bytes: Uint8Array, from: number, length: number): number {
  const limit = Math.min(length, from + FRAGMENT_BYTES_MAX);
  for (let at = from; at < limit; at++) {
    const byte = bytes[at] as number;
    if (QUOTE[byte] === 1) return at;
    if (TOKEN[byte] === 0) return -1;
  }
  return -1;
}
