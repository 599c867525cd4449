/**
 * Compressed bytes: told by their first bytes, inflated piece by piece, never beyond a bound.
 *
 * @module
 */
import { FlateErrorCode, Gunzip, Inflate, Unzlib } from "fflate";
import { isPrintable } from "./text_like.ts";
import { viewBuffer } from "./view.ts";

/** Formats that can be inflated. */
export type Compression = "gzip" | "zlib" | "deflate";

/** What inflating came to; `end` names why the bytes stop where they do. */
export interface Inflated {
  /** From {@linkcode viewBuffer}. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly length: number;
  /** `whole`: the stream's own end, or that of its bytes. */
  readonly end: "whole" | "expansion" | "corrupt";
}

/** Bytes handed to the inflater at once: the most that one step can grow to is 1,032 times this. */
const STEP_BYTES = 256;

/** The format whose mark the bytes begin with. */
export function compressionOf(bytes: Uint8Array, length: number): Compression | undefined {
  if (length < 8) return undefined;
  const [first = 0, second = 0, third = 0, flags = 0] = bytes;
  if (first === 0x1f && second === 0x8b) {
    return third === 8 && (flags & 0xe0) === 0 ? "gzip" : undefined;
  }
  if (first === 0x78 && (first << 8 | second) % 31 === 0 && (second & 0x20) === 0) return "zlib";
  return undefined;
}

/**
 * Bytes without a mark that inflate to a text all the same. Checked by hand as far as that is
 * cheap: of random bytes one in a thousand gets as far as the inflater.
 */
export function inflatesToText(bytes: Uint8Array, length: number): boolean {
  if (length < 16 || !plausibleBlock(bytes)) return false;
  const head = inflate(bytes, Math.min(length, 64), "deflate", 256);
  return head.length >= 8 && head.end !== "corrupt" && isPrintable(head.bytes, 0, head.length);
}

/** Whether a deflate stream can begin so. */
function plausibleBlock(bytes: Uint8Array): boolean {
  const reader = new BitReader(bytes);
  reader.take(1);
  switch (reader.take(2)) {
    case 1:
      return reader.printableLiteral() && reader.printableLiteral();
    case 2: {
      if (reader.take(5) > 29 || reader.take(5) > 29) return false;
      // The code of code lengths must be complete: the sum of 2^-length is one.
      const codes = reader.take(4) + 4;
      let filled = 0;
      for (let code = 0; code < codes; code++) {
        const bits = reader.take(3);
        if (bits > 0) filled += 128 >> bits;
      }
      return filled === 128;
    }
    default:
      return false;
  }
}

class BitReader {
  readonly #bytes: Uint8Array;
  #bit = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next bits, least significant first. */
  take(count: number): number {
    let value = 0;
    for (let index = 0; index < count; index++) value |= this.#next() << index;
    return value;
  }

  /** The next symbol of the fixed code is a literal that is printable. */
  printableLiteral(): boolean {
    let code = 0;
    for (let index = 0; index < 8; index++) code = code << 1 | this.#next();
    const literal = code - 0x30;
    return literal >= 0x20 && literal < 0x7f || literal === 9 || literal === 10;
  }

  #next(): number {
    const bit = ((this.#bytes[this.#bit >> 3] ?? 0) >> (this.#bit & 7)) & 1;
    this.#bit++;
    return bit;
  }
}

/**
 * Inflates, up to `bytes_max` bytes.
 *
 * Bytes that simply stop are `whole`: the head of a stream is a stream to a scanner. A checksum is
 * not checked, because what a reader can get out is what counts.
 */
export function inflate(
  bytes: Uint8Array,
  length: number,
  format: Compression,
  bytes_max: number,
): Inflated {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const collect = (chunk: Uint8Array): void => {
    chunks.push(chunk);
    size += chunk.length;
  };
  const stream = format === "gzip"
    ? new Gunzip(collect)
    : format === "zlib"
    ? new Unzlib(collect)
    : new Inflate(collect);
  let end: Inflated["end"] = "whole";
  try {
    for (let at = 0; at < length && end === "whole"; at += STEP_BYTES) {
      stream.push(bytes.subarray(at, Math.min(length, at + STEP_BYTES)), false);
      if (size > bytes_max) end = "expansion";
    }
  } catch (error) {
    // What stands behind a gzip stream and begins no further one is not part of it.
    const trailing = size > 0 && error instanceof Error && "code" in error &&
      error.code === FlateErrorCode.InvalidHeader;
    if (!trailing) end = "corrupt";
  }
  const kept = Math.min(size, bytes_max);
  const out = viewBuffer(kept);
  let offset = 0;
  for (const chunk of chunks) {
    if (offset === kept) break;
    const part = chunk.subarray(0, kept - offset);
    out.set(part, offset);
    offset += part.length;
  }
  return { bytes: out, length: kept, end };
}
