/**
 * Characters that hide a secret from a scanner and not from its reader: those nobody sees, and those
 * that look like ASCII (contract `interception` §2.10, trap S11).
 *
 * @module
 */
import { FOREIGN_LETTERS, isInvisible, STYLED, tagCharacter } from "./decode/look_alikes.ts";
import type { Utf8Text } from "./utf8.ts";

/** True when such a character covers one of the two bytes at a place. */
export function isDisguise(text: Utf8Text, at: number): boolean {
  for (let start = Math.max(0, at - 3); start <= at + 1; start++) {
    if (startsDisguise(text.bytes, start)) return true;
  }
  return false;
}

function startsDisguise(bytes: Uint8Array, at: number): boolean {
  const lead = bytes[at] ?? 0;
  if (lead < 0xc2 || lead > 0xf4) return false;
  const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  let code = lead & (0xff >> (size + 1));
  for (let part = 1; part < size; part++) code = code << 6 | ((bytes[at + part] ?? 0) & 0x3f);
  if (isInvisible(code) || STYLED.has(code) || tagCharacter(code) >= 0) return true;
  return FOREIGN_LETTERS.has(code) && (isKeyByte(bytes[at - 1]) || isKeyByte(bytes[at + size]));
}

/** An ASCII letter, digit, `-` or `_`: next to it a letter of another alphabet is a disguise. */
function isKeyByte(byte = 0): boolean {
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x7a || byte >= 0x30 && byte <= 0x39 || byte === 0x2d ||
    byte === 0x5f;
}
