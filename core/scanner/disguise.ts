/**
 * Characters that hide a secret from a scanner and not from its reader: those nobody sees, and those
 * that look like ASCII (contract `interception` §2.10, trap S11).
 *
 * @module
 */
import { DISGUISES, FOREIGN_LETTERS } from "./decode/look_alikes.ts";
import type { Utf8Text } from "./utf8.ts";

/** One bit for each code point. */
const DISGUISED = new Uint8Array(0x110000 >> 3);
for (const code of DISGUISES) DISGUISED[code >> 3] = (DISGUISED[code >> 3] ?? 0) | 1 << (code & 7);

/** True when such a character covers one of the two bytes at a place. */
export function isDisguise(text: Utf8Text, at: number): boolean {
  for (let start = Math.max(0, at - 3); start <= at + 1; start++) {
    if ((text.bytes[start] as number) >= 0xc2 && startsDisguise(text.bytes, start)) return true;
  }
  return false;
}

function startsDisguise(bytes: Uint8Array, at: number): boolean {
  const lead = bytes[at] ?? 0;
  if (lead < 0xc2 || lead > 0xf4) return false;
  const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  let code = lead & (0xff >> (size + 1));
  for (let part = 1; part < size; part++) code = code << 6 | ((bytes[at + part] ?? 0) & 0x3f);
  // Ordinary punctuation of CJK text shares its first bytes with disguises, and ends here.
  if (((DISGUISED[code >> 3] ?? 0) & (1 << (code & 7))) === 0) return false;
  return !FOREIGN_LETTERS.has(code) || isKeyByte(bytes[at - 1]) || isKeyByte(bytes[at + size]);
}

/** An ASCII letter, digit, `-` or `_`: next to it a letter of another alphabet is a disguise. */
export function isKeyByte(byte = 0): boolean {
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x7a || byte >= 0x30 && byte <= 0x39 || byte === 0x2d ||
    byte === 0x5f;
}
