/**
 * Hex digits to bytes and to the JSON form's decimal bytes. Hashes arrive from the runtime as hex
 * because that is its fastest path; these tables keep the next step as cheap.
 *
 * @module
 */

// Two digits at a time: the codes of both, side by side, index the byte they spell.
const PAIRS = new Uint8Array(0x6667);
for (let byte = 0; byte < 256; byte++) {
  const [high = "", low = ""] = byte.toString(16).padStart(2, "0");
  PAIRS[(high.charCodeAt(0) << 8) | low.charCodeAt(0)] = byte;
}
const DECIMALS: readonly string[] = Array.from({ length: 256 }, (_, byte) => String(byte));

function byteAt(hex: string, index: number): number {
  return PAIRS[(hex.charCodeAt(index) << 8) | hex.charCodeAt(index + 1)] ?? 0;
}

/** Writes trusted lower-case hex into `target` at `offset`. */
export function bytesFromHex(hex: string, target: Uint8Array, offset = 0): Uint8Array {
  for (let i = 0; i < hex.length; i += 2) target[offset + (i >> 1)] = byteAt(hex, i);
  return target;
}

/** Trusted lower-case hex as decimal bytes joined by commas: `00ff` is `0,255`. */
export function integersFromHex(hex: string): string {
  let text = DECIMALS[byteAt(hex, 0)] ?? "";
  for (let i = 2; i < hex.length; i += 2) text += "," + DECIMALS[byteAt(hex, i)];
  return text;
}

/** Bytes as decimals joined by commas. */
export function integersFromBytes(bytes: Uint8Array): string {
  return bytes.join(",");
}
