/**
 * Base64 that arrives in pieces, as `application/grpc-web-text` sends it: any piece may end inside
 * a group of four, and any group may end in padding, after which another text begins (gRPC-Web,
 * "Protocol differences").
 *
 * @module
 */

import { encodeBase64 } from "../base64.ts";

/** Sextets by character code; 64 is padding, 255 is no base64. */
const SEXTETS: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(255);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (let index = 0; index < 64; index++) table[alphabet.charCodeAt(index)] = index;
  table[0x3d] = 64;
  return table;
})();

/** Decodes pieces in turn. */
export class Base64Reader {
  #bits = 0;
  /** Characters of the current group of four. */
  #filled = 0;
  #padding = 0;

  /** Whether a group has begun and not ended. */
  get inGroup(): boolean {
    return this.#filled > 0;
  }

  /** The bytes a piece completes, or undefined when it is not base64. */
  read(piece: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const bytes = new Uint8Array(Math.ceil((piece.length + this.#filled) / 4) * 3);
    let length = 0;
    for (const character of piece) {
      const sextet = SEXTETS[character] ?? 255;
      if (sextet === 255 || (sextet !== 64 && this.#padding > 0)) return undefined;
      if (sextet === 64) {
        this.#padding++;
        if (this.#filled < 2) return undefined;
      }
      this.#bits = (this.#bits << 6) | (sextet & 63);
      if (++this.#filled < 4) continue;
      bytes[length] = this.#bits >> 16;
      bytes[length + 1] = this.#bits >> 8;
      bytes[length + 2] = this.#bits;
      length += 3 - this.#padding;
      this.#bits = 0;
      this.#filled = 0;
      this.#padding = 0;
    }
    return bytes.subarray(0, length);
  }
}

/** Bytes as padded base64 in ASCII. */
export function base64Bytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = encodeBase64(bytes);
  return new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 4) * 4, "="));
}
