/**
 * Remembers what recent header blocks meant. Clients send the same block call after call once their
 * compression table has settled; such a block is then neither decoded nor judged again.
 *
 * @module
 */

import type { HpackDecoder } from "../hpack/decoder.ts";

const ENTRIES_MAX = 8;
const BLOCK_BYTES_MAX = 2048;

/** A block at the start of memory that outlives it: the next block in its place uses it again. */
interface Entry<T> {
  memory: Uint8Array;
  /** 0 when the entry is forgotten. */
  block_bytes: number;
  value: T;
}

/**
 * A few blocks of one connection. A block's meaning depends on the compression table, so every
 * change of the table empties the cache.
 */
export class HeadCache<T> {
  readonly #decoder: HpackDecoder;
  #generation = 0;
  readonly #entries: Entry<T>[] = [];
  #oldest = 0;

  constructor(decoder: HpackDecoder) {
    this.#decoder = decoder;
  }

  /** What an equal block meant, if it is known and the table is as it was. */
  get(bytes: Uint8Array, start: number, end: number): T | undefined {
    if (this.#generation !== this.#decoder.generation) {
      this.#generation = this.#decoder.generation;
      for (const entry of this.#entries) entry.block_bytes = 0;
      return undefined;
    }
    for (let index = 0; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && isEqual(entry, bytes, start, end)) return entry.value;
    }
    return undefined;
  }

  /** Remembers a block whose decoding changed nothing in the table. */
  put(bytes: Uint8Array, start: number, end: number, value: T): void {
    const block_bytes = end - start;
    if (block_bytes > BLOCK_BYTES_MAX) return;
    const entry = this.#entries[this.#oldest];
    if (entry === undefined) {
      this.#entries[this.#oldest] = { memory: bytes.slice(start, end), block_bytes, value };
    } else {
      if (entry.memory.length < block_bytes) entry.memory = new Uint8Array(2 * block_bytes);
      entry.memory.set(bytes.subarray(start, end));
      entry.block_bytes = block_bytes;
      entry.value = value;
    }
    this.#oldest = (this.#oldest + 1) % ENTRIES_MAX;
  }
}

/** From the end: what a client changes from call to call mostly stands behind what it does not. */
function isEqual(
  { memory, block_bytes }: Entry<unknown>,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (block_bytes !== end - start) return false;
  for (let index = block_bytes - 1; index >= 0; index--) {
    if (memory[index] !== bytes[start + index]) return false;
  }
  return true;
}
