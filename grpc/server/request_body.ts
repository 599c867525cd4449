/**
 * The data of one request that has not become messages yet: bounded by the connection's and the
 * server's buffers, and the place where a broken message is noticed.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import {
  type Compression,
  type DecompressionProblem,
  decompressionStatus,
} from "../compression.ts";
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
  /** Decompresses a message, at its sender's cost. */
  decompress(compressed: Uint8Array): Uint8Array<ArrayBuffer> | DecompressionProblem;
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

/** As what a message that cannot be decompressed is counted. */
const PROBLEM_REFUSALS: Readonly<Record<DecompressionProblem, Refusal>> = {
  too_long: "message_bytes",
  corrupt: "compression",
  busy: "decompression",
  exhausted: "decompression",
};

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
  /** Size of the last message, when it was decompressed: its handler may hold it. */
  #decompressed_bytes = 0;

  /** @param giveCredit lets the peer send so many bytes more */
  constructor(
    buffers: RequestBuffers,
    encoding: Compression,
    giveCredit: (bytes: number) => void,
  ) {
    this.#buffers = buffers;
    this.#giveCredit = giveCredit;
    this.#reader = new MessageReader(buffers.bounds.receive_message_bytes, buffers.slab);
    this.#reader.encoding = encoding;
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

  /** Why a request that has ended is not exactly one message, if it is not. */
  checkSingle(): RequestProblem | undefined {
    const head = this.#reader.head();
    if (head === "empty") return NO_MESSAGE;
    if (head === "partial") return CUT_SHORT;
    if (head !== "message") return this.#unsound();
    return this.#reader.bufferedBytes > this.#reader.headBytes ? MANY_MESSAGES : undefined;
  }

  /** The one message of a request, after {@linkcode checkSingle}; gives its buffer back. */
  takeSingle(): Uint8Array | RequestProblem {
    const compressed = this.#reader.headCompressed;
    const message = this.#reader.take();
    this.release();
    return compressed ? this.#decompress(message) : message;
  }

  /** The next message of a streamed request, `end` after its last, or `wait`. */
  next(request_ended: boolean): Uint8Array | RequestProblem | "end" | "wait" {
    const head = this.#reader.head();
    if (head === "message") {
      const compressed = this.#reader.headCompressed;
      const message = this.#reader.take();
      this.#account(this.#reader.bufferedBytes);
      this.#releaseWindow();
      return compressed ? this.#decompress(message) : message;
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

  /** Gives back the room of a decompressed message: no handler holds it any more. */
  releaseMessage(): void {
    this.#buffers.releaseBuffer(this.#decompressed_bytes);
    this.#decompressed_bytes = 0;
  }

  /**
   * A few bytes may have become a message a thousand times their size, which a handler holds while
   * it waits: so it takes the place of received bytes until then.
   */
  #decompress(compressed: Uint8Array): Uint8Array | RequestProblem {
    this.releaseMessage();
    const message = this.#buffers.decompress(compressed);
    if (typeof message === "string") {
      const { receive_message_bytes } = this.#buffers.bounds;
      const refusal = PROBLEM_REFUSALS[message];
      return { refusal, ...decompressionStatus(message, receive_message_bytes) };
    }
    if (!this.#buffers.takeBuffer(message.length)) return BUFFERS_FULL;
    this.#decompressed_bytes = message.length;
    return message;
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
          text: "a compressed message, but the request names no encoding",
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
