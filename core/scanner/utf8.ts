/**
 * A text as the bytes every detector works on. Offsets of findings are offsets into these bytes
 * (contract `interception` §2.4), so encoding happens once and nowhere else.
 *
 * @module
 */
import { SCANNER_LIMITS } from "./limits.ts";

/** A text in UTF-8. Made by {@linkcode encodeText}, {@linkcode copyText} or {@linkcode sealText}. */
export interface Utf8Text {
  /**
   * The bytes, and behind them {@linkcode PADDING_BYTES} spaces at least: every run of characters
   * ends inside the array, so walks need no case of their own for the end of the text.
   */
  readonly bytes: Uint8Array;
  /** The same memory, two bytes at a time, in the byte order of the machine. */
  readonly pairs: Uint16Array;
  /** Length in bytes, without the spaces. */
  readonly length: number;
  /** Every character is one byte, so UTF-16 and byte offsets are equal. */
  readonly ascii: boolean;
}

/** Spaces behind every text; the widest step of any walk fits in. */
export const PADDING_BYTES = 16;

const UTF8_BYTES_PER_UNIT = 3;

const encoder = new TextEncoder();
let scratch = newBuffer(64 * 1024);
let scratch_pairs = new Uint16Array(scratch.buffer);
/** The shared buffer holds a text that is still in use. */
let taken = false;

/** A buffer for a text of so many bytes; fill it, then {@linkcode sealText}. */
export function newBuffer(capacity_bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((capacity_bytes + PADDING_BYTES + 1) & ~1);
}

/** Makes a text of the first bytes of a buffer from {@linkcode newBuffer}. */
export function sealText(
  buffer: Uint8Array<ArrayBuffer>,
  length: number,
  ascii: boolean,
): Utf8Text {
  buffer.fill(0x20, length, length + PADDING_BYTES);
  const pairs = buffer === scratch ? scratch_pairs : new Uint16Array(buffer.buffer);
  return { bytes: buffer, pairs, length, ascii };
}

/**
 * Encodes a text; an unpaired surrogate becomes U+FFFD (3 bytes), so this never fails.
 * Most texts share one buffer, because allocating for every decision costs more than scanning
 * does: {@linkcode forgetText} gives it back.
 */
export function encodeText(text: string): Utf8Text {
  const buffer = takeBuffer(text.length * UTF8_BYTES_PER_UNIT);
  const { written } = encoder.encodeInto(text, buffer);
  return sealText(buffer, written, written === text.length);
}

/** Copies bytes that are UTF-8 already; like {@linkcode encodeText} without the encoding. */
export function copyText(bytes: Uint8Array): Utf8Text {
  const buffer = takeBuffer(bytes.length);
  buffer.set(bytes);
  return sealText(buffer, bytes.length, false);
}

function takeBuffer(capacity_bytes: number): Uint8Array<ArrayBuffer> {
  if (taken || capacity_bytes > SCANNER_LIMITS.shared_buffer_bytes) {
    return newBuffer(capacity_bytes);
  }
  if (capacity_bytes + PADDING_BYTES > scratch.length) {
    scratch = newBuffer(Math.min(capacity_bytes * 2, SCANNER_LIMITS.shared_buffer_bytes));
    scratch_pairs = new Uint16Array(scratch.buffer);
  }
  taken = true;
  return scratch;
}

/** Clears the bytes, so that no text outlives its scan in a buffer that is never freed. */
export function forgetText({ bytes, length }: Utf8Text): void {
  if (bytes !== scratch) return;
  bytes.fill(0, 0, length);
  taken = false;
}

/** True when `at` does not fall inside a character of the text. */
export function isBoundary(text: Utf8Text, at: number): boolean {
  if (at === 0 || at === text.length) return true;
  return Number.isInteger(at) && at > 0 && at < text.length &&
    ((text.bytes[at] ?? 0) & 0xc0) !== 0x80;
}

/** Bytes of the character that starts with `lead`; a continuation byte counts as one. */
export function characterBytes(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

/**
 * Maps ascending UTF-16 offsets to byte offsets in one walk over the text.
 *
 * @returns A function that must be called with offsets that never decrease.
 */
export function byteOffsets(text: string, ascii: boolean): (utf16_offset: number) => number {
  if (ascii) return (offset) => offset;
  let unit = 0;
  let byte = 0;
  return (offset) => {
    while (unit < offset) {
      const code = text.codePointAt(unit) ?? 0;
      unit += code > 0xffff ? 2 : 1;
      byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code > 0xffff ? 4 : 3;
    }
    return byte;
  };
}
