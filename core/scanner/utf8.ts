/**
 * A text as the bytes every detector works on. Offsets of findings are offsets into these bytes
 * (contract `interception` §2.4), so encoding happens once and nowhere else.
 *
 * @module
 */

/** A text in UTF-8. */
export interface Utf8Text {
  /**
   * The bytes, and behind them at least one space: every run of characters ends inside the array,
   * so walks need no case of their own for the end of the text.
   */
  readonly bytes: Uint8Array;
  /** Length in bytes, without the space. */
  readonly length: number;
  /** Every character is one byte, so UTF-16 and byte offsets are equal. */
  readonly ascii: boolean;
}

const SCRATCH_BYTES = 192 * 1024;
const UTF8_BYTES_PER_UNIT = 3;

const encoder = new TextEncoder();
const scratch = new Uint8Array(SCRATCH_BYTES);

/**
 * Encodes a text; an unpaired surrogate becomes U+FFFD (3 bytes), so this never fails.
 * The bytes are valid until the next call: short texts share one buffer, because allocating for
 * every decision costs more than scanning does.
 */
export function encodeText(text: string): Utf8Text {
  const needed = text.length * UTF8_BYTES_PER_UNIT + 1;
  const bytes = needed <= SCRATCH_BYTES ? scratch : new Uint8Array(needed);
  const { written } = encoder.encodeInto(text, bytes);
  bytes[written] = 0x20;
  return { bytes, length: written, ascii: written === text.length };
}

/** Clears the bytes, so that no text outlives its scan in a buffer that is never freed. */
export function forgetText({ bytes, length }: Utf8Text): void {
  bytes.fill(0, 0, length);
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
