/**
 * Fields of one message as protobuf writes them: zero and empty ones are left out. For messages that
 * are written for every answer; a test holds them to the generated code.
 *
 * @module
 */

const ENCODER = new TextEncoder();
/** The longest varint. */
const VARINT_BYTES_MAX = 10;

/** Writes one message. */
export class Fields {
  #buffer: Uint8Array;
  #at = 0;

  /** @param scratch Written over, and left behind for another when it becomes too small. */
  constructor(scratch: Uint8Array = new Uint8Array(512)) {
    this.#buffer = scratch;
  }

  /** An integer of up to 64 bits. */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.#room(2 * VARINT_BYTES_MAX);
    this.#varint(field << 3);
    if (value >= 0) this.#varint(value);
    else this.#negative(value);
  }

  /** A string; lone surrogates become the replacement character, as an encoder must write them. */
  text(field: number, value: string): void {
    if (value === "") return;
    this.#room(value.length * 3 + 2 * VARINT_BYTES_MAX);
    this.#varint(field << 3 | 2);
    const { length } = value;
    const start = this.#at;
    this.#varint(length);
    let seen = 0;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      seen |= code;
      this.#buffer[this.#at + index] = code;
    }
    if (seen < 0x80) {
      this.#at += length;
      return;
    }
    // Not ASCII: its length in bytes is another.
    this.#at = start;
    const bytes = ENCODER.encode(value);
    this.#varint(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Bytes, or a nested message, which stands also when it is empty. */
  bytes(field: number, value: Uint8Array, also_empty = false): void {
    if (value.length === 0 && !also_empty) return;
    this.#room(value.length + 2 * VARINT_BYTES_MAX);
    this.#varint(field << 3 | 2);
    this.#varint(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  /** The message, in memory of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#at) as Uint8Array<ArrayBuffer>;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = new Uint8Array(2 * (this.#at + bytes));
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
  }

  /** @param value A safe integer of at least 0. */
  #varint(value: number): void {
    let rest = value;
    while (rest > 0xfff_ffff) {
      this.#buffer[this.#at++] = rest % 128 + 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      this.#buffer[this.#at++] = rest & 127 | 128;
      rest >>>= 7;
    }
    this.#buffer[this.#at++] = rest;
  }

  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 127n; rest >>= 7n) this.#buffer[this.#at++] = Number(rest & 127n) | 128;
    this.#buffer[this.#at++] = Number(rest);
  }
}
