/**
 * A body that is one message without a prefix, as Connect's unary calls send it: gathered under the
 * server's buffer bounds and given the prefix a call expects.
 *
 * @module
 */

import { putUint32 } from "../http2/frames.ts";
import { MESSAGE_PREFIX_BYTES } from "../http2/sender.ts";
import type { RequestBuffers } from "../server/request_body.ts";

const FIRST_CAPACITY_BYTES = 1024;

/** Why a body cannot be gathered further. */
export type GatherProblem = "too_long" | "buffers_full";

/** Gathers one body. Memory grows with what arrives, never with what was announced. */
export class BareMessage {
  readonly #buffers: RequestBuffers;
  /** Room for the prefix stands before the first byte. */
  #bytes = new Uint8Array(MESSAGE_PREFIX_BYTES + FIRST_CAPACITY_BYTES);
  #end = MESSAGE_PREFIX_BYTES;
  #accounted_bytes = 0;

  constructor(buffers: RequestBuffers) {
    this.#buffers = buffers;
  }

  /** Adds bytes, or says why not. */
  append(bytes: Uint8Array): GatherProblem | undefined {
    const length = this.#end - MESSAGE_PREFIX_BYTES + bytes.length;
    if (length > this.#buffers.bounds.receive_message_bytes) return "too_long";
    if (!this.#buffers.takeBuffer(bytes.length)) return "buffers_full";
    this.#accounted_bytes += bytes.length;
    const end = this.#end + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end = end;
    return undefined;
  }

  /** The prefixed message; empty content is never compressed (Connect, "Bare-Message"). */
  take(compressed: boolean): Uint8Array {
    const length = this.#end - MESSAGE_PREFIX_BYTES;
    this.#bytes[0] = compressed && length > 0 ? 1 : 0;
    putUint32(this.#bytes, 1, length);
    return this.#bytes.subarray(0, this.#end);
  }

  /** Gives the buffer back. */
  release(): void {
    this.#buffers.releaseBuffer(this.#accounted_bytes);
    this.#accounted_bytes = 0;
    this.#bytes = new Uint8Array(0);
    this.#end = 0;
  }
}
