/**
 * Remembers what recent header blocks meant. Clients send the same block call after call once their
 * compression table has settled; such a block is then neither decoded nor judged again.
 *
 * @module
 */

import type { HpackDecoder } from "../hpack/decoder.ts";

const ENTRIES_MAX = 8;
const BLOCK_BYTES_MAX = 2048;

interface Entry<T> {
  readonly block: Uint8Array;
  readonly value: T;
}

/**
 * A few blocks of one connection. A block's meaning depends on the compression table, so every
 * change of the table empties the cache.
 */
export class HeadCache<T> {
  readonly #decoder: HpackDecoder;
  #generation = 0;
  #entries: Entry<T>[] = [];
  #oldest = 0;

  constructor(decoder: HpackDecoder) {
    this.#decoder = decoder;
  }

  /** What an equal block meant, if it is known and the table is as it was. */
  get(bytes: Uint8Array, start: number, end: number): T | undefined {
    if (this.#generation !== this.#decoder.generation) {
      this.#generation = this.#decoder.generation;
      this.#entries = [];
      this.#oldest = 0;
      return undefined;
    }
    for (let index = 0; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && isEqual(entry.block, bytes, start, end)) return entry.value;
    }
    return undefined;
  }

  /** Remembers a block whose decoding changed nothing in the table. */
  put(bytes: Uint8Array, start: number, end: number, value: T): void {
    if (end - start > BLOCK_BYTES_MAX) return;
    this.#entries[this.#oldest] = { block: bytes.slice(start, end), value };
    this.#oldest = (this.#oldest + 1) % ENTRIES_MAX;
  }
}

function isEqual(block: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (block.length !== end - start) return false;
  for (let index = 0; index < block.length; index++) {
    if (block[index] !== bytes[start + index]) return false;
  }
  return true;
}
