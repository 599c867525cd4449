/**
 * A plain HPACK decoder for what the endpoint under test sends, and the rules of RFC 9113 section
 * 8.2 for the fields in it. It shares only the tables of RFC 7541 with the module.
 *
 * @module
 */

import { HUFFMAN_CODE_BITS, STATIC_TABLE } from "../../hpack/tables.ts";
import { hold } from "./invariant.ts";

const SYMBOLS = huffmanSymbols();

function huffmanSymbols(): Map<number, number>[] {
  const by_length: Map<number, number>[] = Array.from({ length: 31 }, () => new Map());
  let code = 0;
  for (let bits = 1; bits <= 30; bits++) {
    code *= 2;
    for (let symbol = 0; symbol <= 256; symbol++) {
      if (HUFFMAN_CODE_BITS[symbol] === bits) by_length[bits]?.set(code++, symbol);
    }
  }
  return by_length;
}

/** Reads the header blocks of one direction. */
export class HeaderReader {
  readonly #entries: [string, string][] = [];
  #table_max = 4096;
  /** Lowest limit the peer has set since the last block. */
  #limit = 4096;
  #lowered_to: number | undefined;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** The endpoint acknowledged a SETTINGS_HEADER_TABLE_SIZE. */
  setLimit(bytes: number): void {
    this.#limit = bytes;
    this.#lowered_to = Math.min(this.#lowered_to ?? bytes, bytes);
  }

  /** Fields of a block. */
  read(block: Uint8Array): [name: string, value: string][] {
    this.#bytes = block;
    this.#at = 0;
    this.#sizeUpdates();
    const fields: [string, string][] = [];
    while (this.#at < block.length) fields.push(this.#field());
    return fields;
  }

  #sizeUpdates(): void {
    let lowest = this.#table_max;
    while (((this.#bytes[this.#at] ?? 0) & 0xe0) === 0x20) {
      this.#table_max = this.#integer(5);
      lowest = Math.min(lowest, this.#table_max);
      hold(this.#table_max <= this.#limit, "a table size update passes the peer's limit");
      this.#evict();
    }
    const due = this.#lowered_to;
    hold(
      due === undefined || lowest <= due,
      "the peer lowered its table and the next block does not say so (RFC 7541 4.2)",
    );
    this.#lowered_to = undefined;
  }

  #field(): [string, string] {
    const first = this.#bytes[this.#at] ?? 0;
    if (first >= 0x80) return this.#entry(this.#integer(7));
    hold((first & 0xe0) !== 0x20, "a table size update inside a block");
    const indexing = (first & 0x40) !== 0;
    const index = this.#integer(indexing ? 6 : 4);
    const name = index === 0 ? this.#text() : this.#entry(index)[0];
    const field: [string, string] = [name, this.#text()];
    if (indexing) {
      this.#entries.unshift(field);
      this.#evict();
    }
    return field;
  }

  #evict(): void {
    const size = () => this.#entries.reduce((sum, [n, v]) => sum + n.length + v.length + 32, 0);
    while (size() > this.#table_max) this.#entries.pop();
  }

  #entry(index: number): [string, string] {
    hold(index > 0, "table index 0");
    if (index <= 61) return [STATIC_TABLE[2 * index - 2] ?? "", STATIC_TABLE[2 * index - 1] ?? ""];
    const entry = this.#entries[index - 62];
    hold(entry !== undefined, `table index ${index} is not there`);
    return entry;
  }

  #byte(): number {
    hold(this.#at < this.#bytes.length, "a header block ends inside a field");
    return this.#bytes[this.#at++] ?? 0;
  }

  #integer(prefix_bits: number): number {
    const mask = (1 << prefix_bits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let scale = 1;; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      hold(value < 2 ** 31, "an integer of a header block is absurd");
      if (byte < 128) return value;
    }
  }

  #text(): string {
    const coded = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const end = this.#integer(7) + this.#at;
    hold(end <= this.#bytes.length, "a text is longer than its header block");
    let text = "";
    if (!coded) {
      while (this.#at < end) text += String.fromCharCode(this.#byte());
      return text;
    }
    let code = 0;
    let bits = 0;
    while (this.#at < end) {
      const byte = this.#byte();
      for (let shift = 7; shift >= 0; shift--) {
        code = code * 2 + ((byte >> shift) & 1);
        const symbol = SYMBOLS[++bits]?.get(code);
        hold(symbol !== 256 && bits <= 30, "Huffman code with EOS");
        if (symbol === undefined) continue;
        text += String.fromCharCode(symbol);
        code = 0;
        bits = 0;
      }
    }
    hold(bits < 8 && code === 2 ** bits - 1, "Huffman padding is not ones");
    return text;
  }
}

/** @throws InvariantError when a list breaks RFC 9113 section 8.2 */
export function checkFields(fields: readonly (readonly [string, string])[]): void {
  let regular = false;
  for (const [name, value] of fields) {
    const pseudo = name.startsWith(":");
    hold(!pseudo || !regular, `pseudo header \`${name}\` after a regular one`);
    regular ||= !pseudo;
    hold(/^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name), () => `field name \`${name}\``);
    // deno-lint-ignore no-control-regex
    hold(/^(?![ \t])[^\x00\r\n]*$(?<![ \t])/.test(value), () => `value of \`${name}\`: ${value}`);
    hold(
      !/^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/.test(name),
      `connection-specific field \`${name}\``,
    );
  }
}
