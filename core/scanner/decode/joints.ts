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
const CHAIN_BYTES_MIN = 12;

/** 1 for quotes. */
const QUOTE = new Uint8Array(256);
for (const byte of [0x22, 0x27, 0x60]) QUOTE[byte] = 1;
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
  for (let at = nextQuote(bytes, 0, length); at < length; at = nextQuote(bytes, at + 1, length)) {
    const first = fragmentStart(bytes, at);
    if (first < 0) continue;
    const chain = readChain(text, first, at);
    if (chain === undefined) continue;
    builder ??= new ViewBuilder(bytes, length + (length >> 1) + 1);
    for (let piece = 0; piece < chain.pieces.length; piece += 2) {
      if (piece > 0 && chain.commas[piece / 2 - 1] === true) commas.push(builder.size);
      if (piece > 0) builder.unit(chain.pieces[piece - 1] ?? 0, [], "joined");
      builder.copy(chain.pieces[piece] ?? 0, chain.pieces[piece + 1] ?? 0);
    }
    builder.unit(chain.end, [0x0a], "joined");
    at = chain.end;
  }
  return builder && { view: builder.finish(length), commas };
}

/** Few texts are dense with quotes: the far ones are found by the engine's own search. */
function nextQuote(bytes: Uint8Array, from: number, length: number): number {
  const near = Math.min(length, from + 64);
  for (let at = from; at < near; at++) if (QUOTE[bytes[at] as number] === 1) return at;
  if (near === length) return length;
  for (let at = near; at < length; at++) if (QUOTE[bytes[at] as number] === 1) return at;
  return length;
}

interface Chain {
  /** Pairs of start and end. */
  readonly pieces: readonly number[];
  /** For each joint, whether it is a comma. */
  readonly commas: readonly boolean[];
  /** The closing quote of the last piece. */
  readonly end: number;
}

/** The chain whose first piece is `first` to `close`, a closing quote; undefined when it is alone. */
function readChain({ bytes, length }: Utf8Text, first: number, close: number): Chain | undefined {
  let glue = readGlue(bytes, close, length);
  if (glue === undefined) return undefined;
  const pieces = [first, close];
  const commas: boolean[] = [];
  let end = close;
  let size = close - first;
  while (glue !== undefined) {
    const start: number = glue.open + 1;
    const stop = fragmentEnd(bytes, start, length);
    if (stop < 0) break;
    pieces.push(start, stop);
    commas.push(glue.comma);
    size += stop - start;
    end = stop;
    glue = readGlue(bytes, stop, length);
  }
  return pieces.length > 2 && size >= CHAIN_BYTES_MIN ? { pieces, commas, end } : undefined;
}

/** What lies between a closing quote and the next opening one, when that joins two texts. */
function readGlue(
  bytes: Uint8Array,
  close: number,
  length: number,
): { readonly open: number; readonly comma: boolean } | undefined {
  const limit = Math.min(length, close + GLUE_BYTES_MAX);
  let operators = 0;
  let comma = false;
  for (let at = close + 1; at < limit; at++) {
    const byte = bytes[at] as number;
    if (QUOTE[byte] === 1) {
      // `""` within a text is a quote in SQL, not two texts.
      return at === close + 1 ? undefined : { open: at, comma };
    }
    if (byte === 0x2c) comma = true;
    if (OPERATOR[byte] === 1) operators++;
    else if (byte > 0x20 && byte !== 0x5c) return undefined;
    if (operators > 2) return undefined;
  }
  return undefined;
}

/** Start of the fragment that ends before a closing quote, or -1. */
function fragmentStart(bytes: Uint8Array, close: number): number {
  const limit = Math.max(0, close - FRAGMENT_BYTES_MAX);
  for (let at = close - 1; at >= limit; at--) {
    const byte = bytes[at] as number;
    if (QUOTE[byte] === 1) return at + 1 < close ? at + 1 : -1;
    if (!isToken(byte)) return -1;
  }
  return -1;
}

/** End of the fragment that starts here: its closing quote, or -1. */
function fragmentEnd(bytes: Uint8Array, from: number, length: number): number {
  const limit = Math.min(length, from + FRAGMENT_BYTES_MAX);
  for (let at = from; at < limit; at++) {
    const byte = bytes[at] as number;
    if (QUOTE[byte] === 1) return at;
    if (!isToken(byte)) return -1;
  }
  return -1;
}

/** Printable ASCII without white space and brackets: what keys and addresses are made of. */
function isToken(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f && byte !== 0x2c && byte !== 0x3b && byte !== 0x7b &&
    byte !== 0x7d && byte !== 0x28 && byte !== 0x29;
}
