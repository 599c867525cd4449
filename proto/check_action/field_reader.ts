/**
 * Reads the fields of a message in the form encoders write them, and gives up on anything else:
 * the caller then asks the generated decoder, whose verdict is the only one that counts.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NO_BYTES: Uint8Array = new Uint8Array(0);
/** Past every message: loops over fields end there. */
const NOWHERE = 0x3fff_ffff;
/** Up to here building a string in pieces is cheaper than asking the runtime for one. */
const SHORT_TEXT_BYTES = 16;

/**
 * A place in the bytes of one message. Reading past `end` is impossible: every method gives up
 * instead. After that {@linkcode position} lies beyond every `end` and methods return zero values.
 */
export class FieldReader {
  #bytes: Uint8Array = NO_BYTES;
  /** Buffer's own methods take any byte array; a view for each message would cost more. */
  readonly #latin1 = Buffer.prototype.latin1Slice;
  position = 0;
  /** The bytes are not in the usual form: what was read means nothing. */
  gave_up = false;

  /** Begins a message; `end` of its fields is `bytes.length`. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.position = 0;
    this.gave_up = false;
  }

  /** Lets go of the message: a reader outlives it. */
  finish(): void {
    this.#bytes = NO_BYTES;
  }

  giveUp(): void {
    this.gave_up = true;
    this.position = NOWHERE;
  }

  /** The next byte, which must be there: a tag of one byte, as all fields up to 15 have. */
  tag(): number {
    return this.#bytes[this.position++] ?? 0;
  }

  /** An integer of up to 28 bits; longer, negative and cut ones are given up on. */
  integer(end: number): number {
    const bytes = this.#bytes;
    let position = this.position;
    let value = 0;
    for (let shift = 0; shift < 28 && position < end; shift += 7) {
      const byte = bytes[position++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.position = position;
        return value;
      }
    }
    this.giveUp();
    return 0;
  }

  /** A flag written as 0 or 1. */
  flag(end: number): boolean {
    const value = this.integer(end);
    if (value > 1) this.giveUp();
    return value === 1;
  }

  /** Where a length-delimited field ends; its content starts at {@linkcode position}. */
  contentEnd(end: number): number {
    const length = this.integer(end);
    const content_end = this.position + length;
    if (content_end <= end) return content_end;
    this.giveUp();
    return 0;
  }

  /** A view of the bytes of a field, as the generated decoder gives one. */
  content(end: number): Uint8Array {
    const stop = this.contentEnd(end);
    if (this.gave_up) return NO_BYTES;
    const start = this.position;
    this.position = stop;
    return this.#bytes.subarray(start, stop);
  }

  /** A string. Invalid UTF-8 is given up on. */
  text(end: number): string {
    const stop = this.contentEnd(end);
    if (this.gave_up) return "";
    const start = this.position;
    this.position = stop;
    const bytes = this.#bytes;
    let seen = 0;
    for (let index = start; index < stop; index++) seen |= bytes[index] ?? 0;
    if (seen > 0x7f) return this.#beyondAscii(start, stop);
    if (stop - start <= SHORT_TEXT_BYTES) return shortAscii(bytes, start, stop);
    return this.#latin1.call(bytes, start, stop);
  }

  #beyondAscii(start: number, stop: number): string {
    try {
      return STRICT_UTF8.decode(this.#bytes.subarray(start, stop));
    } catch {
      this.giveUp();
      return "";
    }
  }
}

function shortAscii(bytes: Uint8Array, start: number, stop: number): string {
  let text = "";
  let index = start;
  for (; index + 4 <= stop; index += 4) {
    text += String.fromCharCode(
      bytes[index] ?? 0,
      bytes[index + 1] ?? 0,
      bytes[index + 2] ?? 0,
      bytes[index + 3] ?? 0,
    );
  }
  for (; index < stop; index++) text += String.fromCharCode(bytes[index] ?? 0);
  return text;
}
