/**
 * Proofs inside a value that it is no look-alike. A proof raises confidence; its absence lowers
 * nothing, because vendors change their formats.
 *
 * @module
 */
import { SCANNER_LIMITS } from "../limits.ts";
import type { Utf8Text } from "../utf8.ts";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM_CHARS = 6;
/** Letters and digits after the prefix of a GitHub or npm token, checksum included. */
const BODY_CHARS = 36;

const CRC_TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * True when the last six of 36 characters are the CRC-32 of the others, in base62 (GitHub and npm,
 * github.blog/2021-04-05-behind-githubs-new-authentication-token-formats).
 */
export function checksumHolds(bytes: Uint8Array, body: number, end: number): boolean {
  if (end - body !== BODY_CHARS) return false;
  const checked_to = end - CHECKSUM_CHARS;
  let crc = 0xffffffff;
  for (let at = body; at < checked_to; at++) {
    crc = (CRC_TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  let rest = (crc ^ 0xffffffff) >>> 0;
  for (let at = end - 1; at >= checked_to; at--) {
    if (bytes[at] !== BASE62.charCodeAt(rest % 62)) return false;
    rest = Math.floor(rest / 62);
  }
  return rest === 0;
}

/** The same for a token whose end is not known: exactly 36 letters and digits stand at `body`. */
export function githubChecksumHolds({ bytes }: Utf8Text, body: number): boolean {
  let end = body;
  while (end - body <= BODY_CHARS && BASE62.includes(String.fromCharCode(bytes[end] ?? 0))) end++;
  return checksumHolds(bytes, body, end);
}

/** True when the first part of a JSON Web Token is a JSON object that names its algorithm. */
export function jwtHeaderHolds(bytes: Uint8Array, from: number, end: number): boolean {
  const header = decode(bytes, from, Math.min(end, from + SCANNER_LIMITS.token_header_bytes), 0x2e);
  return header !== undefined && /^\{.*"alg"\s*:\s*"[\w+-]+".*\}$/s.test(header);
}

/** True when base64 hides `user:password`, all of it printable. */
export function isBasicAuth(bytes: Uint8Array, from: number, end: number): boolean {
  if (end - from > SCANNER_LIMITS.basic_credentials_chars) return false;
  const pair = decode(bytes, from, end, -1);
  return pair !== undefined && /^[\x20-\x39\x3b-\x7e]*:[\x20-\x7e]+$/.test(pair);
}

/** Base64 or base64url up to a byte or the end, as one character a byte. */
function decode(bytes: Uint8Array, from: number, end: number, until: number): string | undefined {
  let encoded = "";
  for (let at = from; at < end && bytes[at] !== until; at++) {
    encoded += String.fromCharCode(bytes[at] ?? 0);
  }
  try {
    return atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    // `atob` has no other way to say that this is no base64.
    return undefined;
  }
}
