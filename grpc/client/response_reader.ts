/**
 * The data of one response and the messages in it: how much may come, which of it is sound, and
 * what a reader who is slow holds back.
 *
 * @module
 */

import { Code } from "../code.ts";
import { type DecompressionProblem, decompressionStatus } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import { MESSAGE_PREFIX_BYTES } from "../http2/sender.ts";
import { isSingleMessage, MessageReader } from "../message_framing.ts";

/** What a response needs of its call. */
export interface ResponseHost {
  /** Lets the server send so many bytes more. */
  giveCredit(bytes: number): void;
  /** Decompresses a message at the server's cost. */
  decompress(compressed: Uint8Array): Uint8Array | DecompressionProblem;
}

/** Reads one response; it is the buffer itself, so that a call costs one object less. */
export class ResponseReader extends MessageReader {
  readonly #host: ResponseHost;
  readonly #message_bytes_max: number;
  /** The one message of a response that came as most do: whole, plain and alone. */
  #single: Uint8Array | undefined;
  #withheld_bytes = 0;

  constructor(host: ResponseHost, message_bytes_max: number) {
    super(message_bytes_max);
    this.#host = host;
    this.#message_bytes_max = message_bytes_max;
  }

  /** Takes data of a response that is one message, or says why the call ends. */
  receiveSingle(bytes: Uint8Array, start: number, end: number): GrpcError | undefined {
    if (
      this.#single === undefined && this.bufferedBytes === 0 &&
      isSingleMessage(bytes, start, end, this.#message_bytes_max)
    ) {
      this.#single = bytes.slice(start + MESSAGE_PREFIX_BYTES, end);
      this.#host.giveCredit(end - start);
      return undefined;
    }
    this.append(bytes, start, end);
    const problem = this.unsound();
    if (problem !== undefined) return problem;
    // More than the longest message: what follows the first can only be another.
    if (this.bufferedBytes > this.#message_bytes_max + MESSAGE_PREFIX_BYTES) {
      return notOneResponse("several responses");
    }
    this.#host.giveCredit(end - start);
    return undefined;
  }

  /**
   * Takes data of a streamed response, or says why the call ends. The server may send on while no
   * whole message waits: a reader that keeps up never sees the window close.
   */
  receiveStreamed(bytes: Uint8Array, start: number, end: number): GrpcError | undefined {
    this.append(bytes, start, end);
    const problem = this.unsound();
    if (problem !== undefined) return problem;
    this.#withheld_bytes += end - start;
    this.#releaseWindow();
    return undefined;
  }

  /** The one message of a response that has ended. */
  takeSingle(): Uint8Array | GrpcError {
    const head = this.head();
    if (this.#single !== undefined && head === "empty") return this.#single;
    if (this.#single !== undefined) return notOneResponse("several responses");
    if (head !== "message") return notOneResponse("no response");
    const message = this.#take();
    return this.head() === "empty" ? message : notOneResponse("several responses");
  }

  /** The next message of a streamed response, undefined while none is whole. */
  next(): Uint8Array | GrpcError | undefined {
    if (this.head() !== "message") return undefined;
    const message = this.#take();
    this.#releaseWindow();
    return message;
  }

  #take(): Uint8Array | GrpcError {
    const compressed = this.headCompressed;
    const taken = this.take();
    if (!compressed) return taken;
    const message = this.#host.decompress(taken);
    if (typeof message !== "string") return message;
    const { code, text } = decompressionStatus(message, this.#message_bytes_max);
    return new GrpcError(`the response cannot be read: ${text}`, code);
  }

  #releaseWindow(): void {
    if (this.#withheld_bytes === 0 || this.head() === "message") return;
    this.#host.giveCredit(this.#withheld_bytes);
    this.#withheld_bytes = 0;
  }

  /** Why the message at the head can never be taken, if it cannot. */
  unsound(): GrpcError | undefined {
    switch (this.head()) {
      case "too_long": {
        const text = `the response message is larger than ${this.#message_bytes_max} bytes`;
        return new GrpcError(text, Code.RESOURCE_EXHAUSTED);
      }
      case "compressed": {
        const text = "the server sent a compressed message and named no encoding";
        return new GrpcError(text, Code.INTERNAL);
      }
      case "bad_flag": {
        const text = "the compressed flag of the server's message is neither 0 nor 1";
        return new GrpcError(text, Code.INTERNAL);
      }
      default:
        return undefined;
    }
  }
}

function notOneResponse(what: string): GrpcError {
  return new GrpcError(`the server sent ${what}: exactly one is expected`, Code.UNIMPLEMENTED);
}
