/**
 * An HPACK encoder that uses everything the format offers (RFC 7541 section 6): indexed fields of
 * both tables, the three literal forms, Huffman or not, table size updates. It draws which by
 * chance, to exercise decoders; the module's own encoder is far plainer.
 *
 * @module
 */

import { encodeHuffman } from "../hpack/huffman.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "../hpack/tables.ts";
import type { Random } from "./random.ts";

const ENTRY_OVERHEAD_BYTES = 32;
const INITIAL_TABLE_BYTES = 4096;

/** Appends a prefixed integer (RFC 7541 section 5.1); `padding` adds superfluous zero bytes. */
export function putInteger(
  out: number[],
  pattern: number,
  prefix_bits: number,
  value: number,
  padding = 0,
): void {
  const mask = 2 ** prefix_bits - 1;
  if (value < mask) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | mask);
  let rest = value - mask;
  while (rest >= 128) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  if (padding === 0) {
    out.push(rest);
    return;
  }
  out.push(rest | 128);
  for (let index = 1; index < padding; index++) out.push(128);
  out.push(0);
}

/** One direction's encoding state, kept in step with the decoder it feeds. */
export class HpackWriter {
  readonly #random: Random;
  readonly #limit_bytes: number;
  #entries: [name: string, value: string][] = [];
  #bytes = 0;
  #bytes_max: number;
  #shrink_due: boolean;

  /**
   * @param limit_bytes what the decoder announced as SETTINGS_HEADER_TABLE_SIZE
   * @param shrink whether the first block says that the table is smaller than an encoder's first
   */
  constructor(random: Random, limit_bytes = INITIAL_TABLE_BYTES, shrink = true) {
    this.#random = random;
    this.#limit_bytes = limit_bytes;
    this.#bytes_max = Math.min(limit_bytes, INITIAL_TABLE_BYTES);
    this.#shrink_due = shrink && limit_bytes < INITIAL_TABLE_BYTES;
  }

  /** Entries of the dynamic table. */
  get entries(): number {
    return this.#entries.length;
  }

  /** A block of a flat name, value, name, value list; one byte per character. */
  block(fields: readonly string[]): Uint8Array<ArrayBuffer> {
    const out: number[] = [];
    if (this.#shrink_due) putInteger(out, 0x20, 5, this.#limit_bytes);
    else if (this.#random.chance(0.04)) this.#sizeUpdates(out);
    this.#shrink_due = false;
    for (let index = 0; index < fields.length; index += 2) {
      this.#field(out, fields[index] ?? "", fields[index + 1] ?? "");
    }
    return Uint8Array.from(out);
  }

  #sizeUpdates(out: number[]): void {
    for (let count = this.#random.between(1, 2); count > 0; count--) {
      const bytes = this.#random.chance(0.5)
        ? this.#limit_bytes
        : this.#random.skewed(this.#limit_bytes);
      putInteger(out, 0x20, 5, bytes);
      this.#bytes_max = bytes;
      this.#evict(bytes);
    }
  }

  #field(out: number[], name: string, value: string): void {
    if (this.#random.chance(0.7)) {
      const exact = this.#find(name, value);
      if (exact > 0) {
        putInteger(out, 0x80, 7, exact);
        return;
      }
    }
    const form = this.#random.below(3);
    const name_index = this.#random.chance(0.8) ? this.#find(name) : 0;
    if (form === 0) putInteger(out, 0x40, 6, name_index);
    else putInteger(out, form === 1 ? 0 : 0x10, 4, name_index);
    if (name_index === 0) this.#text(out, name);
    this.#text(out, value);
    if (form === 0) this.#insert(name, value);
  }

  #text(out: number[], text: string): void {
    if (this.#random.chance(0.5)) {
      const coded: number[] = [];
      encodeHuffman(text, coded);
      putInteger(out, 0x80, 7, coded.length);
      for (const byte of coded) out.push(byte);
      return;
    }
    putInteger(out, 0, 7, text.length);
    for (let index = 0; index < text.length; index++) out.push(text.charCodeAt(index) & 255);
  }

  /** Index of an entry with this name, and this value when given; 0 when there is none. */
  #find(name: string, value?: string): number {
    for (let index = 0; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry?.[0] === name && (value === undefined || entry[1] === value)) {
        return STATIC_ENTRIES + 1 + index;
      }
    }
    for (let index = 1; index <= STATIC_ENTRIES; index++) {
      if (STATIC_TABLE[2 * (index - 1)] !== name) continue;
      if (value === undefined || STATIC_TABLE[2 * index - 1] === value) return index;
    }
    return 0;
  }

  #insert(name: string, value: string): void {
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#evict(this.#bytes_max - bytes);
    if (bytes > this.#bytes_max) return;
    this.#entries.unshift([name, value]);
    this.#bytes += bytes;
  }

  #evict(target_bytes: number): void {
    while (this.#entries.length > 0 && this.#bytes > target_bytes) {
      const [name, value] = this.#entries.pop() ?? ["", ""];
      this.#bytes -= name.length + value.length + ENTRY_OVERHEAD_BYTES;
    }
  }
}
