/**
 * Length-prefixed messages in the data of one stream (gRPC over HTTP/2, "Length-Prefixed-Message"):
 * one flag byte, four length bytes, the message.
 *
 * @module
 */

import type { Compression } from "./compression.ts";
import { getUint32 } from "./http2/frames.ts";
import { MESSAGE_PREFIX_BYTES } from "./http2/sender.ts";
import type { MessageSlab } from "./message_slab.ts";

/** Least size of a piece of memory beside the first. */
const CHUNK_BYTES = 2048;

/** What stands at the head of the buffered data. */
export type Head =
  /** Nothing is buffered. */
  | "empty"
  /** A message has begun. */
  | "partial"
  /** A whole message waits. */
  | "message"
  /** The message at the head is compressed, and the stream names no encoding. */
  | "compressed"
  /** The message at the head is longer than allowed. */
  | "too_long"
  /** The flag byte is neither 0 nor 1. */
  | "bad_flag";

/**
 * Buffers received data and cuts messages out of it. Memory grows with what was received, never
 * with what a length prefix promises. Data is copied once, and once more only when its message came
 * in several pieces: memory that was handed out is never written again.
 */
export class MessageReader {
  /** The encoding the stream names; compressed messages are taken only with one. */
  encoding: Compression = "identity";

  readonly #message_bytes_max: number;
  /** Oldest first; all but the last are full. */
  #chunks: Uint8Array<ArrayBuffer>[] = [];
  /** Bytes taken of the first chunk. */
  #start = 0;
  /** Bytes filled of the last chunk. */
  #end = 0;
  #buffered_bytes = 0;
  #slab: MessageSlab | undefined;

  /** @param slab memory for the first piece: most calls have one message, which comes in one */
  constructor(message_bytes_max: number, slab?: MessageSlab) {
    this.#message_bytes_max = message_bytes_max;
    this.#slab = slab;
  }

  /** Bytes received and not yet taken. */
  get bufferedBytes(): number {
    return this.#buffered_bytes;
  }

  /** Copies `bytes[start, end)` behind what is buffered. */
  append(bytes: Uint8Array, start: number, end: number): void {
    this.#buffered_bytes += end - start;
    const last = this.#chunks[this.#chunks.length - 1];
    if (last !== undefined) {
      const count = Math.min(end - start, last.length - this.#end);
      last.set(bytes.subarray(start, start + count), this.#end);
      this.#end += count;
      start += count;
    }
    if (start === end) return;
    this.#end = end - start;
    if (this.#slab !== undefined) {
      this.#chunks.push(this.#slab.copy(bytes, start, end));
      this.#slab = undefined;
      return;
    }
    // A piece as small as its data would cost more than its data when that comes byte by byte.
    const chunk = new Uint8Array(Math.max(CHUNK_BYTES, end - start));
    chunk.set(bytes.subarray(start, end));
    this.#chunks.push(chunk);
  }

  /** What stands at the head. */
  head(): Head {
    if (this.#buffered_bytes === 0) return "empty";
    const flag = this.#byte(0);
    if (flag > 1) return "bad_flag";
    if (flag === 1 && this.encoding === "identity") return "compressed";
    if (this.#buffered_bytes < MESSAGE_PREFIX_BYTES) return "partial";
    const length = this.#length();
    if (length > this.#message_bytes_max) return "too_long";
    return this.#buffered_bytes >= MESSAGE_PREFIX_BYTES + length ? "message" : "partial";
  }

  /** Bytes of the message at the head, with its prefix; only when {@linkcode head} is `message`. */
  get headBytes(): number {
    return MESSAGE_PREFIX_BYTES + this.#length();
  }

  /** Whether the message at the head is compressed. */
  get headCompressed(): boolean {
    return this.#buffered_bytes > 0 && this.#byte(0) === 1;
  }

  /**
   * Takes the message at the head as it travels; only when {@linkcode head} is `message`. It may
   * share its memory with messages of the same stream or slab, and with nothing else.
   */
  take(): Uint8Array<ArrayBuffer> {
    const length = this.#length();
    this.#skip(MESSAGE_PREFIX_BYTES);
    const first = this.#chunks[0];
    if (first !== undefined && this.#start + length <= first.length) {
      const message = first.subarray(this.#start, this.#start + length);
      this.#skip(length);
      return message;
    }
    const message = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      const chunk = this.#chunks[0] ?? new Uint8Array(0);
      const count = Math.min(chunk.length - this.#start, length - filled);
      message.set(chunk.subarray(this.#start, this.#start + count), filled);
      filled += count;
      this.#skip(count);
    }
    return message;
  }

  /** Drops everything. */
  clear(): void {
    this.#chunks = [];
    this.#start = 0;
    this.#end = 0;
    this.#buffered_bytes = 0;
  }

  /** The byte so far behind the head, which must be there. */
  #byte(index: number): number {
    let position = this.#start + index;
    let at = 0;
    let chunk = this.#chunks[0];
    while (chunk !== undefined && position >= chunk.length) {
      position -= chunk.length;
      chunk = this.#chunks[++at];
    }
    return chunk?.[position] ?? 0;
  }

  /** What the prefix at the head promises; the prefix must be whole. */
  #length(): number {
    const first = this.#chunks[0];
    if (first !== undefined && this.#start + MESSAGE_PREFIX_BYTES <= first.length) {
      return getUint32(first, this.#start + 1);
    }
    return ((this.#byte(1) << 24) | (this.#byte(2) << 16) | (this.#byte(3) << 8) |
      this.#byte(4)) >>> 0;
  }

  /** Moves the head on by what is there, and drops chunks that were used up. */
  #skip(count: number): void {
    this.#buffered_bytes -= count;
    this.#start += count;
    for (
      let first = this.#chunks[0];
      first !== undefined && this.#start >= first.length;
      first = this.#chunks[0]
    ) {
      this.#start -= first.length;
      this.#chunks.shift();
      if (this.#chunks.length === 0) this.#end = 0;
    }
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
