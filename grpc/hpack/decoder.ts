/**
 * HPACK decoding (RFC 7541), hardened: every integer, text, table and list it builds is bounded.
 *
 * @module
 */

import { decodeHuffman, latin1 } from "./huffman.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "./tables.ts";

/** Bytes a table or list entry counts beyond its name and value (RFC 7541 section 4.1). */
const ENTRY_OVERHEAD_BYTES = 32;
/** Most bytes of one prefixed integer beyond its prefix: enough for 2^28, far above any length. */
const INTEGER_BYTES_MAX = 4;
/** The dynamic table of both sides before any SETTINGS (RFC 9113 section 6.5.2). */
const INITIAL_TABLE_BYTES = 4096;
/** Most table size updates at the start of one block (RFC 7541 section 4.2). */
const SIZE_UPDATES_MAX = 2;

/** A header block that is not HPACK; the connection's compression state is lost (RFC 9113 4.3). */
export class HpackError extends Error {
  override readonly name = "HpackError";
}

/** What one block decoded to. */
export interface DecodedBlock {
  /** Flat name, value, name, value; cut short when {@linkcode too_large}. */
  readonly fields: string[];
  /** The list passed its size bound; the dynamic table was still kept in step. */
  readonly too_large: boolean;
}

/** One direction's decoding state: the dynamic table. One instance per connection. */
export class HpackDecoder {
  readonly #announced_bytes: number;
  #table_bytes_limit: number;
  /** The next block must say that the table shrank to what we announced. */
  #shrink_due = false;
  readonly #ring: string[];
  readonly #ring_slots: number;
  #newest = 0;
  #entries = 0;
  #table_bytes = 0;
  #table_bytes_max: number;
  #generation = 0;

  #block: Uint8Array = new Uint8Array(0);
  #position = 0;
  #end = 0;

  /**
   * @param announced_bytes our SETTINGS_HEADER_TABLE_SIZE; the peer's updates may not pass it
   * @param in_force whether the peer knows of it; else {@linkcode onLimitAcknowledged} says when.
   * A peer that sends before it has read our SETTINGS counts on 4096 bytes
   */
  constructor(announced_bytes = INITIAL_TABLE_BYTES, in_force = true) {
    this.#announced_bytes = announced_bytes;
    this.#table_bytes_limit = in_force
      ? announced_bytes
      : Math.max(announced_bytes, INITIAL_TABLE_BYTES);
    this.#table_bytes_max = Math.min(this.#table_bytes_limit, INITIAL_TABLE_BYTES);
    this.#ring_slots = Math.max(1, Math.floor(this.#table_bytes_limit / ENTRY_OVERHEAD_BYTES));
    this.#ring = new Array<string>(this.#ring_slots * 2).fill("");
  }

  /**
   * Changes with every change of the dynamic table: two equal blocks decode alike while it stays.
   */
  get generation(): number {
    return this.#generation;
  }

  /** Current size of the dynamic table by RFC 7541 section 4.1. */
  get table_bytes(): number {
    return this.#table_bytes;
  }

  /** The peer acknowledged our SETTINGS: from its next block on, our limit holds. */
  onLimitAcknowledged(): void {
    this.#table_bytes_limit = this.#announced_bytes;
    if (this.#table_bytes_max <= this.#announced_bytes) return;
    this.#shrink_due = true;
    this.#generation++;
  }

  /**
   * Decodes the block `bytes[start, end)`.
   *
   * @param list_bytes_max bound of the decoded list, each field counted with 32 bytes overhead
   * @throws HpackError for anything RFC 7541 calls a decoding error
   */
  decode(bytes: Uint8Array, start: number, end: number, list_bytes_max: number): DecodedBlock {
    this.#block = bytes;
    this.#position = start;
    this.#end = end;
    const fields: string[] = [];
    let list_bytes = 0;
    let updates = 0;
    let too_large = false;
    while (this.#position < end) {
      const first = bytes[this.#position] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (fields.length > 0 || list_bytes > 0 || ++updates > SIZE_UPDATES_MAX) {
          throw new HpackError("a table size update stands after the start of its block");
        }
        this.#resize(this.#integer(5));
        continue;
      }
      let name: string;
      let value: string;
      if (first & 0x80) {
        const index = this.#integer(7);
        name = this.#entry(index, 0);
        value = this.#entry(index, 1);
      } else {
        const indexing = (first & 0x40) !== 0;
        const index = this.#integer(indexing ? 6 : 4);
        name = index === 0 ? this.#text() : this.#entry(index, 0);
        value = this.#text();
        if (indexing) this.#insert(name, value);
      }
      list_bytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
      if (list_bytes > list_bytes_max) too_large = true;
      else fields.push(name, value);
    }
    if (this.#shrink_due) throw new HpackError("the table was not shrunk to the announced limit");
    return { fields, too_large };
  }

  #byte(): number {
    if (this.#position >= this.#end) throw new HpackError("the block ends inside a field");
    return this.#block[this.#position++] ?? 0;
  }

  /** A prefixed integer (RFC 7541 section 5.1). */
  #integer(prefix_bits: number): number {
    const mask = 2 ** prefix_bits - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let count = 0; count < INTEGER_BYTES_MAX; count++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * count);
      if (byte < 0x80) return value;
    }
    throw new HpackError("an integer is longer than any length may be");
  }

  /** A text (RFC 7541 section 5.2). */
  #text(): string {
    const huffman = ((this.#block[this.#position] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#position;
    if (length > this.#end - start) throw new HpackError("a text is longer than its block");
    this.#position = start + length;
    if (!huffman) return latin1(this.#block, start, this.#position);
    const text = decodeHuffman(this.#block, start, this.#position);
    if (text === undefined) throw new HpackError("a text is not Huffman code");
    return text;
  }

  /** Name (part 0) or value (part 1) of a table entry. */
  #entry(index: number, part: 0 | 1): string {
    if (index >= 1 && index <= STATIC_ENTRIES) return STATIC_TABLE[2 * (index - 1) + part] ?? "";
    const age = index - STATIC_ENTRIES - 1;
    if (age < 0 || age >= this.#entries) throw new HpackError(`no table entry ${index}`);
    const slot = (this.#newest - age + this.#ring_slots) % this.#ring_slots;
    return this.#ring[2 * slot + part] ?? "";
  }

  #insert(name: string, value: string): void {
    this.#generation++;
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#evict(this.#table_bytes_max - bytes);
    // An entry larger than the table empties it and is not kept (RFC 7541 section 4.4).
    if (bytes > this.#table_bytes_max) return;
    this.#newest = (this.#newest + 1) % this.#ring_slots;
    this.#ring[2 * this.#newest] = name;
    this.#ring[2 * this.#newest + 1] = value;
    this.#entries++;
    this.#table_bytes += bytes;
  }

  #resize(bytes: number): void {
    if (bytes > this.#table_bytes_limit) {
      throw new HpackError(`a table size update to ${bytes} passes the announced limit`);
    }
    this.#generation++;
    this.#shrink_due = false;
    this.#table_bytes_max = bytes;
    this.#evict(bytes);
  }

  /** Drops the oldest entries until the table holds at most `target` bytes. */
  #evict(target: number): void {
    while (this.#entries > 0 && this.#table_bytes > target) {
      const age = this.#entries - 1;
      const slot = (this.#newest - age + this.#ring_slots) % this.#ring_slots;
      const name = this.#ring[2 * slot] ?? "";
      const value = this.#ring[2 * slot + 1] ?? "";
      this.#ring[2 * slot] = "";
      this.#ring[2 * slot + 1] = "";
      this.#table_bytes -= name.length + value.length + ENTRY_OVERHEAD_BYTES;
      this.#entries--;
    }
  }
}
