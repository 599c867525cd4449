/**
 * Whether bytes can be a text. Random bytes almost never are, which is how an encoded text is told
 * from a hash or an image before it is decoded.
 *
 * @module
 */

/** 1 for what a text is made of in ASCII: printable characters, tab, line feed, carriage return. */
export const PRINTABLE: Uint8Array = new Uint8Array(256).map((_, byte) =>
  byte >= 0x20 && byte < 0x7f || byte === 9 || byte === 10 || byte === 13 ? 1 : 0
);

/** Every byte of the range is printable ASCII. */
export function isPrintable(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (PRINTABLE[bytes[at] as number] === 0) return false;
  return true;
}

/** Bytes read of a decoded text before it is believed to be one. */
const HEAD_BYTES = 4_096;
/** One byte in this many may be none of a text. */
const ODD_ONE_IN = 8;

/** Mostly printable, counting bytes outside ASCII as such: a text in any language. */
export function isMostlyText(bytes: Uint8Array, length: number): boolean {
  const end = Math.min(length, HEAD_BYTES);
  let odd = 0;
  let wide = 0;
  for (let at = 0; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x80) wide++;
    else if (PRINTABLE[byte] === 0) odd++;
  }
  // Half of random bytes are outside ASCII, and a third of the rest are control characters.
  return odd * ODD_ONE_IN <= end - wide && (wide === 0 || odd * 64 <= end);
}

/** Every second byte is zero: a text in UTF-16, as PowerShell encodes its commands. */
export function looksUtf16(bytes: Uint8Array, length: number): boolean {
  const end = Math.min(length & ~1, 256);
  if (end < 16) return false;
  let zeros = 0;
  for (let at = 1; at < end; at += 2) if (bytes[at] === 0) zeros++;
  return zeros * 10 >= end / 2 * 9;
}
