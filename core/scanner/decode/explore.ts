/**
 * Decodes before judging: walks from a text to the texts behind it and has each searched for what
 * is certainly a secret. Bounded in depth, in bytes, and in how far compressed bytes may grow; what
 * lies beyond a bound is named, never taken for clean.
 *
 * @module
 */
import { SCANNER_LIMITS } from "../limits.ts";
import type { CredentialFinding, CredentialKind, Undecoded, UndecodedReason } from "../finding.ts";
import type { Utf8Text } from "../utf8.ts";
import { BASE64_CHARS_MIN, BASE64_SET, decodeBase64, phasesOf, wholeRun } from "./base64.ts";
import { type Compression, compressionOf, inflate, inflatesToText } from "./compressed.ts";
import { unescape } from "./escapes.ts";
import { HEX_LIST_BYTES_MIN, HEX_LIST_SET, hexList, hexRow } from "./hex.ts";
import { ESCAPED, joinCalmly, type Joined, joinFragments } from "./joints.ts";
import { eachRun, findRuns } from "./runs.ts";
import { isMostlyText, isPrintable, looksUtf16 } from "./text_like.ts";
import {
  compose,
  type DecodedView,
  type DecodeStep,
  IDENTITY,
  type OriginMap,
  viewBuffer,
  viewOf,
  wholeRange,
} from "./view.ts";

/** A span within the text that was searched. */
export interface CertainSpan extends Pick<CredentialFinding, "detector" | "verified"> {
  readonly kind: CredentialKind;
  readonly offset: number;
  readonly end: number;
}

/**
 * Searches one text for what is certainly a secret: known forms only, no entropy, no addresses.
 *
 * @param numbers Whether cards and social security numbers are asked for too.
 */
export type CertainSearch = (
  text: Utf8Text,
  numbers: boolean,
  report: (span: CertainSpan) => void,
) => void;

/** A secret behind an encoding; offsets are bytes of the original text. */
export interface DecodedFinding extends CertainSpan {
  /** What was undone to see it, outermost first. */
  readonly via: readonly DecodeStep[];
}

/** What lies behind a text. */
export interface Decoding {
  readonly findings: readonly DecodedFinding[];
  readonly undecoded: readonly Undecoded[];
}

/** Which ways to look behind a text are worth it; `false` must be certain. */
export interface DecodeSigns {
  /** Escapes, entities, characters of no width, look-alikes. */
  readonly escapes: boolean;
  /** There are escapes, and none of them matters but for texts written in pieces. */
  readonly calm?: boolean;
  /** Quotes, which texts written in pieces have. */
  readonly quotes: boolean;
  /** Every run of base64 characters worth a look, its start and its end; absent: not known. */
  readonly long_runs?: readonly number[];
}

const ALL_SIGNS: DecodeSigns = { escapes: true, quotes: true };

/** Looks behind a text, which is not searched itself. */
export function decodeAndSearch(
  text: Utf8Text,
  signs: DecodeSigns,
  search: CertainSearch,
): Decoding {
  const explorer = new Explorer(text.length, search);
  explorer.explore(text, IDENTITY, 0, signs);
  return explorer.decoding();
}

/** Looks into bytes that may be compressed as they stand, such as a body on the wire. */
export function decodeBytes(bytes: Uint8Array, search: CertainSearch): Decoding {
  const explorer = new Explorer(bytes.length, search);
  explorer.compressed(bytes, bytes.length, IDENTITY, 0);
  return explorer.decoding();
}

class Explorer {
  readonly #search: CertainSearch;
  readonly #findings: DecodedFinding[] = [];
  readonly #undecoded: Undecoded[] = [];
  #bytes_left: number;

  constructor(length: number, search: CertainSearch) {
    this.#search = search;
    this.#bytes_left = SCANNER_LIMITS.decoded_bytes + length * SCANNER_LIMITS.decoded_times;
  }

  decoding(): Decoding {
    return { findings: this.#findings, undecoded: this.#undecoded };
  }

  /** Looks behind one text, at `depth` encodings below the original. */
  explore(text: Utf8Text, origin: OriginMap, depth: number, signs: DecodeSigns): void {
    if (signs.calm === true && this.#calmly(text, origin, depth, signs)) return;
    let view = text;
    let map = origin;
    const plain = signs.escapes ? unescape(text) : undefined;
    if (plain !== undefined && this.#spend(plain.view.length, origin, 0, text.length)) {
      view = plain.view;
      map = compose(origin, plain.view.origin);
      this.#find(plain.view, map, true);
      const deeper = plain.deeper_at;
      if (deeper !== undefined) this.#skip("depth", origin, deeper, deeper + 1);
    }
    // Quotes may be escaped too.
    const quotes = signs.quotes || plain !== undefined;
    const joined = quotes ? joinFragments(view) : undefined;
    if (joined !== undefined) this.#joined(joined, map, depth);
    this.#runs(view, map, depth, plain === undefined ? signs.long_runs : undefined);
  }

  /** Looks behind a text as it is written; false where pieces are joined over escapes. */
  #calmly(text: Utf8Text, origin: OriginMap, depth: number, signs: DecodeSigns): boolean {
    const joined = signs.quotes ? joinCalmly(text) : undefined;
    if (joined === ESCAPED) return false;
    if (joined !== undefined) this.#joined(joined, origin, depth);
    this.#runs(text, origin, depth, signs.long_runs);
    return true;
  }

  /** Bytes that may be compressed; false when they are not. */
  compressed(bytes: Uint8Array, length: number, origin: OriginMap, depth: number): boolean {
    const format: Compression | undefined = compressionOf(bytes, length) ??
      (inflatesToText(bytes, length) ? "deflate" : undefined);
    if (format === undefined) return false;
    const most = Math.min(this.#bytes_left, SCANNER_LIMITS.inflated_bytes);
    const { bytes: out, length: size, end } = inflate(bytes, length, format, most);
    // Two bytes are a mark by chance too: what inflates to nothing was none.
    if (size === 0) return false;
    this.#bytes_left -= size;
    const whole = wholeRange(0, length, [format]);
    if (end !== "whole" && (end === "expansion" || format === "gzip" || size > 64)) {
      this.#skip(end, compose(origin, whole), 0, size);
    }
    this.#decoded(viewOf(out, size, whole), origin, depth + 1);
    return true;
  }

  #runs(text: Utf8Text, origin: OriginMap, depth: number, known?: readonly number[]): void {
    const deepest = depth >= SCANNER_LIMITS.decode_depth;
    const lookBehind = (from: number, to: number): number => {
      if (isWord(text.bytes, from, to)) return to;
      for (const view of hexRow(text, from, to)) this.#child(view, origin, depth, deepest);
      const run = wholeRun(text, from, to);
      for (const phase of phasesOf(text, run)) {
        this.#child(decodeBase64(text, run, phase), origin, depth, deepest);
      }
      return run.end;
    };
    if (known === undefined) findRuns(text, BASE64_SET, BASE64_CHARS_MIN, lookBehind);
    else eachRun(known, lookBehind);
    findRuns(text, HEX_LIST_SET, HEX_LIST_BYTES_MIN, (from, to) => {
      for (const view of hexList(text, from, to)) this.#child(view, origin, depth, deepest);
      return to;
    });
  }

  #child(view: DecodedView, origin: OriginMap, depth: number, deepest: boolean): void {
    const whole = compose(origin, view.origin);
    if (deepest) {
      if (isMostlyText(view.bytes, view.length)) this.#skip("depth", whole, 0, view.length);
      return;
    }
    if (!this.#spend(view.length, whole, 0, view.length)) return;
    this.#decoded(view, origin, depth + 1);
  }

  #decoded(view: DecodedView, outer: OriginMap, depth: number): void {
    const origin = compose(outer, view.origin);
    const { bytes, length } = view;
    const gzip = compressionOf(bytes, length) === "gzip";
    if (!gzip && isMostlyText(bytes, length)) {
      this.#find(view, origin, true);
      return this.explore(view, origin, depth, ALL_SIGNS);
    }
    if (depth < SCANNER_LIMITS.decode_depth) {
      if (this.compressed(bytes, length, origin, depth)) return;
    } else if (gzip) {
      return this.#skip("depth", origin, 0, length);
    }
    if (looksUtf16(bytes, length)) return this.#decoded(narrow(view), outer, depth + 1);
    this.#find(view, origin, false);
  }

  /** @param text Whether the view is a text; else only what is printable in it counts. */
  #find(view: Utf8Text, origin: OriginMap, text: boolean): void {
    this.#search(view, text, (span) => {
      if (!text && !isPrintable(view.bytes, span.offset, span.end)) return;
      // An escape right before a token parts it from what it is glued to as written: `\nghp_`.
      this.#report(span, origin, Math.max(0, span.offset - 1));
    });
  }

  #joined({ view, commas }: Joined, outer: OriginMap, depth: number): void {
    const origin = compose(outer, view.origin);
    this.#search(view, false, (span) => {
      if (isListOfPrefixes(view, span) || standsAlone(view, span, commas, this.#search)) return;
      this.#report(span, origin);
    });
    if (depth < SCANNER_LIMITS.decode_depth) this.#runs(view, origin, depth + 1);
  }

  /** @param from Where what matters for the span begins. */
  #report({ offset, end, ...found }: CertainSpan, origin: OriginMap, from = offset): void {
    const steps = origin.steps(from, end);
    // Part of the text is the same on this layer: what is found there was found before.
    if (steps.length === 0) return;
    this.#findings.push({
      ...found,
      offset: origin.start(offset),
      end: origin.end(end),
      via: [...new Set(steps)],
    });
  }

  #spend(bytes: number, origin: OriginMap, from: number, to: number): boolean {
    if (bytes <= this.#bytes_left) {
      this.#bytes_left -= bytes;
      return true;
    }
    this.#skip("size", origin, from, to);
    return false;
  }

  #skip(reason: UndecodedReason, origin: OriginMap, from: number, to: number): void {
    const last = this.#undecoded[this.#undecoded.length - 1];
    const offset = origin.start(from);
    const end = Math.max(offset, origin.end(to));
    if (last?.reason === reason && this.#undecoded.length >= SCANNER_LIMITS.undecoded_parts) {
      const first = Math.min(last.offset, offset);
      this.#undecoded[this.#undecoded.length - 1] = {
        ...last,
        offset: first,
        end: Math.max(last.end, end),
      };
      return;
    }
    this.#undecoded.push({ offset, end, reason, via: [...new Set(origin.steps(from, to))] });
  }
}

/**
 * At most one character that is no small letter: long words are so, also those that start with a
 * capital, and what is encoded is not, since every prefix of a secret has more of them in base64 and
 * in hex, wherever it starts.
 */
function isWord(bytes: Uint8Array, from: number, to: number): boolean {
  let others = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    if ((byte < 0x61 || byte > 0x7a) && ++others > 1) return false;
  }
  return true;
}

/** A text of UTF-16 in the bytes of its ASCII. */
function narrow(view: DecodedView): DecodedView {
  const length = view.length >> 1;
  const bytes = viewBuffer(length);
  for (let at = 0; at < length; at++) {
    bytes[at] = view.bytes[at * 2 + 1] === 0 ? view.bytes[at * 2] as number : 0x1a;
  }
  const origin: OriginMap = {
    start: (at) => at * 2,
    end: (at) => at * 2,
    steps: () => ["utf16"],
    places: () => [0],
  };
  return viewOf(bytes, length, compose(view.origin, origin));
}

const BODY_CHARS_MIN = 16;

/**
 * Source code lists prefixes as texts too; put together they are no secret. A secret has sixteen
 * characters behind its prefix, with a digit among them.
 */
function isListOfPrefixes({ bytes }: Utf8Text, { offset, end }: CertainSpan): boolean {
  if (end - offset < BODY_CHARS_MIN) return true;
  let digits = 0;
  let signs = 0;
  for (let at = offset; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x30 && byte <= 0x39) digits++;
    else if (byte === 0x5f || byte === 0x2d) signs++;
  }
  return digits === 0 || signs * 5 > end - offset;
}

/** The part before a comma is the secret already: what follows in the list is not part of it. */
function standsAlone(
  view: Utf8Text,
  span: CertainSpan,
  commas: readonly number[],
  search: CertainSearch,
): boolean {
  const comma = commas.find((place) => place > span.offset && place < span.end);
  if (comma === undefined) return false;
  const size = comma - span.offset;
  const bytes = viewBuffer(size);
  bytes.set(view.bytes.subarray(span.offset, comma));
  let found = false;
  search(viewOf(bytes, size, IDENTITY), false, () => found = true);
  return found;
}
