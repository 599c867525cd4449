/**
 * Characters that hide a secret from a scanner and not from its reader: those without width, and
 * full-width forms (contract `interception` §2.10, trap S11).
 *
 * @module
 */
import type { Utf8Text } from "./utf8.ts";

/** True when such a character covers one of the two bytes at a place. */
export function isDisguise(text: Utf8Text, at: number): boolean {
  for (let start = Math.max(0, at - 2); start <= at + 1; start++) {
    if (startsDisguise(text.bytes, start)) return true;
  }
  return false;
}

function startsDisguise(bytes: Uint8Array, at: number): boolean {
  const lead = bytes[at] ?? 0;
  const second = bytes[at + 1] ?? 0;
  if (lead === 0xc2) return second === 0xad;
  if (lead !== 0xe2 && lead !== 0xef) return false;
  const code = (lead & 0x0f) << 12 | (second & 0x3f) << 6 | ((bytes[at + 2] ?? 0) & 0x3f);
  return isWidthless(code) || isFolded(code);
}

/**
 * Full-width letters, digits and the signs `- . / = _`: what keys are written with. Other full-width
 * signs are the ordinary punctuation of CJK text, which is not worth a second look.
 */
export function isFolded(code: number): boolean {
  return code >= 0xff0d && code <= 0xff19 || code === 0xff1d || code === 0xff3f ||
    code >= 0xff21 && code <= 0xff3a || code >= 0xff41 && code <= 0xff5a;
}

/** A character without width: soft hyphen, zero-width space and joiners, byte order mark. */
export function isWidthless(code: number): boolean {
  return code === 0xad || code >= 0x200b && code <= 0x200d || code === 0x2060 || code === 0xfeff;
}
