/**
 * Length-prefixed messages in the data of one stream (gRPC over HTTP/2, "Length-Prefixed-Message"):
 * one flag byte, four length bytes, the message.
 *
 * @module
 */

import { getUint32 } from "./http2/frames.ts";
import { MESSAGE_PREFIX_BYTES } from "./http2/sender.ts";

const FIRST_CAPACITY_BYTES = 1024;

/** What stands at the head of the buffered data. */
export type Head =
  /** Nothing is buffered. */
  | "empty"
  /** A message has begun. */
  | "partial"
  /** A whole message waits. */
  | "message"
  /** The message at the head is compressed. */
  | "compressed"
  /** The message at the head is longer than allowed. */
  | "too_long"
  /** The flag byte is neither 0 nor 1. */
  | "bad_flag";

/**
 * Buffers received data and cuts messages out of it. Memory grows with what was received, never
 * with what a length prefix promises.
 */
export class MessageReader {
  readonly #message_bytes_max: number;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #start = 0;
  #end = 0;

  constructor(message_bytes_max: number) {
    this.#message_bytes_max = message_bytes_max;
  }

  /** Bytes received and not yet taken. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /** Copies `bytes[start, end)` behind what is buffered. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (count === 0) return;
    if (this.#end + count > this.#bytes.length) this.#makeRoom(count);
    this.#bytes.set(bytes.subarray(start, end), this.#end);
    this.#end += count;
  }

  /** What stands at the head. */
  head(): Head {
    const buffered = this.bufferedBytes;
    if (buffered === 0) return "empty";
    const flag = this.#bytes[this.#start] ?? 0;
    if (flag > 1) return "bad_flag";
    if (flag === 1) return "compressed";
    if (buffered < MESSAGE_PREFIX_BYTES) return "partial";
    const length = getUint32(this.#bytes, this.#start + 1);
    if (length > this.#message_bytes_max) return "too_long";
    return buffered >= MESSAGE_PREFIX_BYTES + length ? "message" : "partial";
  }

  /** Takes the message at the head, as a copy; only when {@linkcode head} is `message`. */
  take(): Uint8Array<ArrayBuffer> {
    const from = this.#start + MESSAGE_PREFIX_BYTES;
    const to = from + getUint32(this.#bytes, this.#start + 1);
    const message = this.#bytes.slice(from, to);
    this.#start = to;
    if (this.#start === this.#end) this.clear();
    return message;
  }

  /** Drops everything. */
  clear(): void {
    this.#start = 0;
    this.#end = 0;
    if (this.#bytes.length > 4 * FIRST_CAPACITY_BYTES) this.#bytes = new Uint8Array(0);
  }

  #makeRoom(count: number): void {
    const buffered = this.bufferedBytes;
    const needed = buffered + count;
    if (needed <= this.#bytes.length / 2) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
    } else {
      const grown = new Uint8Array(
        Math.max(FIRST_CAPACITY_BYTES, this.#bytes.length * 2, needed),
      );
      grown.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = grown;
    }
    this.#start = 0;
    this.#end = buffered;
  }
}

/**
 * Whether `bytes[start, end)` is exactly one uncompressed message: the common case, which needs no
 * buffering.
 */
export function isSingleMessage(
  bytes: Uint8Array,
  start: number,
  end: number,
  message_bytes_max: number,
): boolean {
  const length = end - start - MESSAGE_PREFIX_BYTES;
  return length >= 0 && bytes[start] === 0 && length <= message_bytes_max &&
    getUint32(bytes, start + 1) === length;
}
