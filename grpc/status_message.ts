/**
 * Percent-encoding of `grpc-message` (gRPC over HTTP/2, "Status-Message"): UTF-8 bytes outside
 * printable ASCII, `%`, and blanks at either end travel as `%XX`.
 *
 * @module
 */

const PLAIN = /^[\x20-\x24\x26-\x7e]*$/;
const encoder = new TextEncoder();
// A byte order mark at the start is part of the text like any other character.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A status text cut to `bytes_max` bytes of UTF-8, never inside a character. */
export function cutStatusMessage(text: string, bytes_max: number): string {
  if (PLAIN.test(text)) return text.length <= bytes_max ? text : text.slice(0, bytes_max);
  return decoder.decode(cutBytes(text, bytes_max));
}

/** The header value of a status text, cut to `bytes_max` bytes of UTF-8 before encoding. */
export function encodeStatusMessage(text: string, bytes_max: number): string {
  if (PLAIN.test(text)) return hideEdgeBlanks(text.slice(0, bytes_max));
  let encoded = "";
  for (const byte of cutBytes(text, bytes_max)) {
    encoded += byte >= 0x20 && byte <= 0x7e && byte !== 0x25
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return hideEdgeBlanks(encoded);
}

/** A field value may neither begin nor end with a blank (RFC 9113 section 8.2.1). */
function hideEdgeBlanks(value: string): string {
  return value.startsWith(" ") || value.endsWith(" ") ? value.replace(/^ | $/g, "%20") : value;
}

function cutBytes(text: string, bytes_max: number): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length <= bytes_max) return bytes;
  let end = bytes_max;
  // Not inside a character: continuation bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** The status text of a header value; what is not an escape stays as it is. */
export function decodeStatusMessage(value: string): string {
  if (!value.includes("%")) return value;
  const bytes: number[] = [];
  for (let index = 0; index < value.length; index++) {
    const escape = value.charCodeAt(index) === 0x25
      ? /^[0-9a-fA-F]{2}/.exec(value.slice(index + 1, index + 3))
      : null;
    if (escape === null) {
      bytes.push(...encoder.encode(value[index]));
      continue;
    }
    bytes.push(parseInt(escape[0], 16));
    index += 2;
  }
  return decoder.decode(Uint8Array.from(bytes));
}
