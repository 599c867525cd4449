/**
 * What a byte is to the detectors: one table, one look-up.
 *
 * @module
 */

/** `A-Z a-z 0-9 + / - _`: both base64 alphabets (contract §2.6). */
export const BASE64 = 1;
/** `0-9 a-f A-F`. */
export const HEX = 2;
/** `0-9`. */
export const DIGIT = 4;
/** `A-Z a-z 0-9`. */
export const ALPHANUMERIC = 8;
/** ASCII white space: tab to carriage return, and space. */
export const SPACE = 16;
/** ASCII white space or one of `" ' , ; ) ] }`: ends the span of a secret (contract §2.2). */
export const TERMINATOR = 32;
/** A byte of a character outside ASCII. */
export const NON_ASCII = 64;
/** What an e-mail local part may hold, without the signs that glue it to a key: `=`, `/`, `{`. */
export const LOCAL_PART = 128;

/** Class bits of each byte value. */
export const CLASS: Uint8Array = buildClasses();

function buildClasses(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (characters: string, bits: number): void => {
    for (const character of characters) {
      const code = character.charCodeAt(0);
      table[code] = (table[code] ?? 0) | bits;
    }
  };
  const digits = "0123456789";
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const alphanumeric = digits + letters + letters.toLowerCase();
  mark(digits, DIGIT);
  mark(digits + "abcdefABCDEF", HEX);
  mark(alphanumeric, ALPHANUMERIC | LOCAL_PART);
  mark(alphanumeric + "+/-_", BASE64);
  mark("\t\n\v\f\r ", SPACE | TERMINATOR);
  mark("\"',;)]}", TERMINATOR);
  mark(".!#$%&*+?^_`|~-", LOCAL_PART);
  for (let byte = 0x80; byte < 256; byte++) table[byte] = NON_ASCII;
  return table;
}

/** Class bits of the byte at a place; 0 outside the text. */
export function classAt(bytes: Uint8Array, at: number): number {
  return CLASS[bytes[at] ?? 0] as number;
}

/** Bytes of the Unicode white space at a place, or 0 when there is none. */
export function spaceBytes(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return ((CLASS[lead] ?? 0) & SPACE) !== 0 ? 1 : 0;
  const second = bytes[at + 1] ?? 0;
  if (lead === 0xc2) return second === 0x85 || second === 0xa0 ? 2 : 0;
  const third = bytes[at + 2] ?? 0;
  switch ((lead << 8) | second) {
    case 0xe19a: // U+1680
      return third === 0x80 ? 3 : 0;
    case 0xe280: // U+2000-200A, U+2028, U+2029, U+202F
      return (third >= 0x80 && third <= 0x8a) || third === 0xa8 || third === 0xa9 || third === 0xaf
        ? 3
        : 0;
    case 0xe281: // U+205F
      return third === 0x9f ? 3 : 0;
    case 0xe380: // U+3000
      return third === 0x80 ? 3 : 0;
    default:
      return 0;
  }
}

/** Place of the first terminator (contract §2.2) at or after `from`, or `length`. */
export function nextTerminator(bytes: Uint8Array, from: number, length: number): number {
  for (let at = from; at < length; at++) {
    const bits = classAt(bytes, at);
    if ((bits & TERMINATOR) !== 0) return at;
    if (bits === NON_ASCII && spaceBytes(bytes, at) !== 0) return at;
  }
  return length;
}
