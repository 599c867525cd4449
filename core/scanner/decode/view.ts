/**
 * A text behind another one: bytes that were decoded, and where each of them came from.
 *
 * @module
 */
import { newBuffer, sealText, type Utf8Text } from "../utf8.ts";

/** What was undone to get at a text, outermost first in a finding's `via`. */
export type DecodeStep =
  | "json_escape"
  | "percent"
  | "html_entity"
  | "invisible"
  | "look_alike"
  | "line_continuation"
  | "joined"
  | "base64"
  | "hex"
  | "utf16"
  | "gzip"
  | "zlib"
  | "deflate";

/** Where decoded bytes came from. Both functions never decrease. */
export interface OriginMap {
  /** Byte of the original text at which decoded byte `at` begins. */
  readonly start: (at: number) => number;
  /** Byte of the original text behind the last that a decoded range ending at `at` came from. */
  readonly end: (at: number) => number;
  /** What was undone within a decoded range. */
  readonly steps: (from: number, to: number) => readonly DecodeStep[];
  /** Decoded places at which something was undone, ascending; of the last view of several. */
  readonly places: () => Iterable<number>;
}

/** A decoded text. Its bytes end in spaces that do not count, as those of every text do. */
export interface DecodedView extends Utf8Text {
  readonly origin: OriginMap;
}

/** A buffer for a decoded text of so many bytes; fill it, then {@linkcode viewOf}. */
export function viewBuffer(bytes_max: number): Uint8Array<ArrayBuffer> {
  return newBuffer(bytes_max);
}

/** Makes a view of the first bytes of a buffer from {@linkcode viewBuffer}. */
export function viewOf(
  buffer: Uint8Array<ArrayBuffer>,
  length: number,
  origin: OriginMap,
): DecodedView {
  return { ...sealText(buffer, length, false), origin };
}

/** The text itself: nothing was undone. */
export const IDENTITY: OriginMap = {
  start: (at) => at,
  end: (at) => at,
  steps: () => [],
  places: () => [],
};

/** The map of a view inside a view. */
export function compose(outer: OriginMap, inner: OriginMap): OriginMap {
  return {
    start: (at) => outer.start(inner.start(at)),
    end: (at) => outer.end(inner.end(at)),
    steps: (from, to) => [
      ...outer.steps(inner.start(from), inner.end(to)),
      ...inner.steps(from, to),
    ],
    places: inner.places,
  };
}

/** Everything came from one range, which cannot be told apart: compressed bytes. */
export function wholeRange(from: number, to: number, steps: readonly DecodeStep[]): OriginMap {
  return { start: () => from, end: () => to, steps: () => steps, places: () => [0] };
}

const BREAKS_FIRST = 64;

/**
 * Writes a decoded text piece by piece: stretches copied as they stand, and units that stand for
 * other bytes. Memory beyond the text itself is one entry for each place where the two part.
 */
export class ViewBuilder {
  readonly #source: Uint8Array;
  readonly #out: Uint8Array<ArrayBuffer>;
  #size = 0;
  /** Triples: decoded place, original place, step + 1 (0 for a copied stretch). */
  #breaks = new Int32Array(BREAKS_FIRST * 3);
  #break_count = 0;
  readonly #steps: DecodeStep[] = [];

  /** @param bytes_max Room for the decoded text. */
  constructor(source: Uint8Array, bytes_max: number) {
    this.#source = source;
    this.#out = viewBuffer(bytes_max);
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size;
  }

  /** Copies a stretch of the source. */
  copy(from: number, to: number): void {
    if (to <= from) return;
    this.#mark(from, 0);
    if (to - from < 32) {
      let size = this.#size;
      for (let at = from; at < to; at++) this.#out[size++] = this.#source[at] as number;
      this.#size = size;
      return;
    }
    this.#out.set(this.#source.subarray(from, to), this.#size);
    this.#size += to - from;
  }

  /** Writes what stands at `from` in the source under another form; `bytes` may be empty. */
  unit(from: number, bytes: readonly number[], step: DecodeStep): void {
    const known = this.#steps.indexOf(step);
    const code = known < 0 ? this.#steps.push(step) : known + 1;
    if (bytes.length === 0) this.#mark(from, code);
    for (const byte of bytes) {
      this.#mark(from, code);
      this.#out[this.#size++] = byte;
    }
  }

  /** The view; `end` is the place of the source behind all that was written. */
  finish(end: number): DecodedView {
    this.#mark(end, 0);
    const breaks = this.#breaks.subarray(0, this.#break_count * 3);
    return viewOf(this.#out, this.#size, new BreakMap(breaks, this.#steps));
  }

  #mark(from: number, code: number): void {
    if ((this.#break_count + 1) * 3 > this.#breaks.length) {
      const wider = new Int32Array(this.#breaks.length * 2);
      wider.set(this.#breaks);
      this.#breaks = wider;
    }
    const at = this.#break_count++ * 3;
    this.#breaks[at] = this.#size;
    this.#breaks[at + 1] = from;
    this.#breaks[at + 2] = code;
  }
}

/** Looks places up among the breaks a {@linkcode ViewBuilder} left. */
class BreakMap implements OriginMap {
  readonly #breaks: Int32Array;
  readonly #steps: readonly DecodeStep[];

  constructor(breaks: Int32Array, steps: readonly DecodeStep[]) {
    this.#breaks = breaks;
    this.#steps = steps;
  }

  readonly start = (at: number): number => {
    const index = this.#last(at) * 3;
    // A unit's bytes have a break each, so the distance is that within a copied stretch.
    return (this.#breaks[index + 1] ?? 0) + at - (this.#breaks[index] ?? 0);
  };

  readonly end = (at: number): number => {
    // The first break at this place: behind it may be units that stand for nothing.
    const index = this.#first(at) * 3;
    if (this.#breaks[index] === at) return this.#breaks[index + 1] ?? 0;
    return this.start(at);
  };

  readonly steps = (from: number, to: number): readonly DecodeStep[] => {
    const seen = new Set<DecodeStep>();
    for (let index = this.#first(from); index * 3 < this.#breaks.length; index++) {
      if ((this.#breaks[index * 3] ?? 0) >= to) break;
      const step = this.#steps[(this.#breaks[index * 3 + 2] ?? 0) - 1];
      if (step !== undefined) seen.add(step);
    }
    return [...seen];
  };

  readonly places = (): Iterable<number> => {
    const breaks = this.#breaks;
    return (function* (): Iterable<number> {
      for (let at = 0; at < breaks.length; at += 3) {
        if ((breaks[at + 2] ?? 0) > 0) yield breaks[at] ?? 0;
      }
    })();
  };

  /** The last break at or before a decoded place. */
  #last(at: number): number {
    return Math.max(0, this.#bound(at + 1) - 1);
  }

  /** The first break at or behind a decoded place. */
  #first(at: number): number {
    return this.#bound(at);
  }

  /** Number of breaks before a decoded place. */
  #bound(at: number): number {
    let low = 0;
    let high = this.#breaks.length / 3;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#breaks[middle * 3] ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
