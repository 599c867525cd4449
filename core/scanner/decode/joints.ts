/**
 * Secrets written in pieces: quoted fragments joined by `+`, `.`, `,`, `&`, or by nothing but white
 * space, as source code joins them.
 *
 * @module
 */
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
  const { bytes, length } = text;
  let builder: ViewBuilder | undefined;
  const commas: number[] = [];
  const quotes = new Quotes(text);
  const chain = new Chain(text);
  for (let at = quotes.next(0); at < length; at = quotes.next(at + 1)) {
    // Most quotes have a letter, a colon or a bracket behind them.
    const behind = bytes[at + 1] as number;
    if (OPERATOR[behind] === 0 && behind > 0x20 && behind !== 0x5c || !chain.read(at)) continue;
    builder ??= new ViewBuilder(bytes, length + (length >> 1) + 1);
    const { pieces } = chain;
    for (let piece = 0; piece < chain.pieces_size; piece += 2) {
      if (piece > 0 && chain.commas[piece / 2 - 1] === true) commas.push(builder.size);
      if (piece > 0) builder.unit(pieces[piece - 1] ?? 0, [], "joined");
      builder.copy(pieces[piece] ?? 0, pieces[piece + 1] ?? 0);
    }
    builder.unit(chain.end, [0x0a], "joined");
    at = chain.end;
  }
  return builder && { view: builder.finish(length), commas };
}

/** Printable ASCII without white space and brackets: what keys and addresses are made of. */
const TOKEN = new Uint8Array(256).fill(1, 0x21, 0x7f);
for (const sign of ",;(){}") TOKEN[sign.charCodeAt(0)] = 0;

const NEAR_BYTES = 48;

/** Finds the next quote: near ones byte by byte, far ones by the engine's own search. */
class Quotes {
  readonly #bytes: Uint8Array;
  readonly #length: number;
  /** The next of each kind of quote, as far as it was looked for. */
  readonly #far = [-1, -1, -1];

  constructor({ bytes, length }: Utf8Text) {
    this.#bytes = bytes.subarray(0, length);
    this.#length = length;
  }

  next(from: number): number {
    const near = Math.min(this.#length, from + NEAR_BYTES);
    for (let at = from; at < near; at++) {
      if (QUOTE[this.#bytes[at] as number] === 1) return at;
    }
    let nearest = this.#length;
    QUOTES.forEach((quote, kind) => {
      if ((this.#far[kind] ?? 0) < near) {
        const found = this.#bytes.indexOf(quote, near);
        this.#far[kind] = found < 0 ? this.#length : found;
      }
      nearest = Math.min(nearest, this.#far[kind] ?? 0);
    });
    return nearest;
  }
}

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
