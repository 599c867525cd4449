/**
 * The data of one request that has not become messages yet: bounded by the connection's and the
 * server's buffers, and the place where a broken message is noticed.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import { MESSAGE_PREFIX_BYTES } from "../http2/sender.ts";
import { MessageReader } from "../message_framing.ts";
import type { MessageSlab } from "../message_slab.ts";

/** Why a request cannot be served. */
export interface RequestProblem {
  readonly refusal: Refusal;
  readonly code: Code;
  readonly text: string;
}

/** Where the bytes are accounted for. */
export interface RequestBuffers {
  readonly bounds: Bounds;
  /** Memory for small messages. */
  readonly slab: MessageSlab;
  /** Asks for room for received bytes; false when the buffers are full. */
  takeBuffer(bytes: number): boolean;
  releaseBuffer(bytes: number): void;
}

const BUFFERS_FULL: RequestProblem = {
  refusal: "buffer_bytes",
  code: Code.RESOURCE_EXHAUSTED,
  text: "too many bytes of unfinished requests: retry later",
};
const CUT_SHORT = framing(Code.INTERNAL, "the request ended inside a message");
const NO_MESSAGE = framing(
  Code.UNIMPLEMENTED,
  "the request has no message: exactly one is expected",
);
const MANY_MESSAGES = framing(
  Code.UNIMPLEMENTED,
  "the request has more than one message: exactly one is expected",
);

function framing(code: Code, text: string): RequestProblem {
  return { refusal: "message_framing", code, text };
}

/** Buffers a request's data and cuts messages out of it. */
export class RequestBody {
  readonly #buffers: RequestBuffers;
  readonly #giveCredit: (bytes: number) => void;
  readonly #reader: MessageReader;
  #accounted_bytes = 0;
  #withheld_bytes = 0;

  /** @param giveCredit lets the peer send so many bytes more */
  constructor(buffers: RequestBuffers, giveCredit: (bytes: number) => void) {
    this.#buffers = buffers;
    this.#giveCredit = giveCredit;
    this.#reader = new MessageReader(buffers.bounds.receive_message_bytes, buffers.slab);
  }

  /** Buffers data of a request that is one message, whose bytes may keep coming. */
  receiveSingle(bytes: Uint8Array, start: number, end: number): RequestProblem | undefined {
    const problem = this.#receive(bytes, start, end);
    if (problem !== undefined) return problem;
    // More than the longest message: what follows the first can only be another.
    const limit = this.#buffers.bounds.receive_message_bytes + MESSAGE_PREFIX_BYTES;
    if (this.#reader.bufferedBytes > limit) return MANY_MESSAGES;
    this.#giveCredit(end - start);
    return undefined;
  }

  /**
   * Buffers data of a streamed request. The peer may send on while no whole message waits: a reader
   * that keeps up never sees the window close, one that does not holds the peer back.
   */
  receiveStreamed(bytes: Uint8Array, start: number, end: number): RequestProblem | undefined {
    const problem = this.#receive(bytes, start, end);
    if (problem !== undefined) return problem;
    this.#withheld_bytes += end - start;
    this.#releaseWindow();
    return undefined;
  }

  /** The one message of a request that has ended; its buffer is kept until {@linkcode release}. */
  takeSingle(): Uint8Array | RequestProblem {
    const head = this.#reader.head();
    if (head === "empty") return NO_MESSAGE;
    if (head === "partial") return CUT_SHORT;
    if (head !== "message") return this.#unsound() ?? CUT_SHORT;
    const message = this.#reader.take();
    return this.#reader.bufferedBytes > 0 ? MANY_MESSAGES : message;
  }

  /** The next message of a streamed request, `end` after its last, or `wait`. */
  next(request_ended: boolean): Uint8Array | RequestProblem | "end" | "wait" {
    const head = this.#reader.head();
    if (head === "message") {
      const message = this.#reader.take();
      this.#account(this.#reader.bufferedBytes);
      this.#releaseWindow();
      return message;
    }
    if (head === "empty") return request_ended ? "end" : "wait";
    if (head !== "partial") return this.#unsound() ?? CUT_SHORT;
    return request_ended ? CUT_SHORT : "wait";
  }

  /** Whether a message has begun and is not there. */
  get inMessage(): boolean {
    return this.#reader.head() === "partial";
  }

  /** Gives the buffer back. */
  release(): void {
    this.#account(0);
    this.#reader.clear();
  }

  #receive(bytes: Uint8Array, start: number, end: number): RequestProblem | undefined {
    const count = end - start;
    if (!this.#buffers.takeBuffer(count)) return BUFFERS_FULL;
    this.#accounted_bytes += count;
    this.#reader.append(bytes, start, end);
    return this.#unsound();
  }

  #account(bytes: number): void {
    this.#buffers.releaseBuffer(this.#accounted_bytes - bytes);
    this.#accounted_bytes = bytes;
  }

  #releaseWindow(): void {
    if (this.#withheld_bytes === 0 || this.#reader.head() === "message") return;
    this.#giveCredit(this.#withheld_bytes);
    this.#withheld_bytes = 0;
  }

  /** Why the message at the head can never be taken, if it cannot. */
  #unsound(): RequestProblem | undefined {
    switch (this.#reader.head()) {
      case "compressed":
        return {
          // Of the caller's making, not of ours to implement (gRPC, "Compression").
          refusal: "compression",
          code: Code.INTERNAL,
          text: "a compressed message without a message encoding",
        };
      case "too_long": {
        const limit = this.#buffers.bounds.receive_message_bytes;
        return {
          refusal: "message_bytes",
          code: Code.RESOURCE_EXHAUSTED,
          text: `the request message is larger than ${limit} bytes`,
        };
      }
      case "bad_flag":
        return framing(
          Code.INTERNAL,
          "the compressed flag of a message is neither 0 nor 1",
        );
      default:
        return undefined;
    }
  }
}
