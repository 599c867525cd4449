/**
 * From a request's body to the data of its call: bare messages get their prefix, text loses its
 * base64, the rest is what a call expects already.
 *
 * @module
 */

import { Code } from "../code.ts";
import type { ServerCall } from "../server/call.ts";
import type { RequestBuffers, RequestProblem } from "../server/request_body.ts";
import { BareMessage } from "./bare_message.ts";
import { Base64Reader } from "./base64_stream.ts";
import type { WebProtocol } from "./protocol.ts";
import { RequestPump, type RequestSink } from "./request_pump.ts";

const NO_BYTES = new Uint8Array(0);
const NOT_BASE64: RequestProblem = {
  refusal: "message_framing",
  code: Code.INVALID_ARGUMENT,
  text: "the request is not base64",
};
const BUFFERS_FULL: RequestProblem = {
  refusal: "buffer_bytes",
  code: Code.RESOURCE_EXHAUSTED,
  text: "too many bytes of unfinished requests: retry later",
};

/** A body and how to read it. */
export interface FeedSource {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly protocol: WebProtocol;
  /** Whether the one message of a bare body is compressed. */
  readonly compressed: boolean;
}

/** Feeds one call. */
export class RequestFeed implements RequestSink {
  /** Bytes of the body so far. */
  read_bytes = 0;

  readonly #call: ServerCall;
  readonly #buffers: RequestBuffers;
  readonly #pump: RequestPump;
  readonly #bare: BareMessage | undefined;
  readonly #compressed: boolean;
  readonly #base64: Base64Reader | undefined;
  readonly #onBroken: () => void;
  #stopped = false;

  /** @param onBroken called when the body breaks off */
  constructor(
    call: ServerCall,
    buffers: RequestBuffers,
    { body, protocol, compressed }: FeedSource,
    onBroken: () => void,
  ) {
    this.#call = call;
    this.#buffers = buffers;
    this.#pump = new RequestPump(body, this, buffers.bounds.stream_window_bytes);
    this.#bare = protocol.kind === "connect_unary" ? new BareMessage(buffers) : undefined;
    this.#compressed = compressed;
    this.#base64 = protocol.text ? new Base64Reader() : undefined;
    this.#onBroken = onBroken;
  }

  /** Begins to read. */
  start(): void {
    if (!this.#stopped) this.#pump.run();
  }

  /** The call has taken so many bytes of its data. */
  credit(bytes: number): void {
    if (this.#bare === undefined) this.#pump.credit(bytes);
  }

  /** Reads no more: the call has ended. */
  stop(): void {
    this.#stopped = true;
    this.#bare?.release();
    this.#pump.stop();
  }

  onBytes(bytes: Uint8Array): void {
    this.read_bytes += bytes.length;
    if (this.#bare !== undefined) return this.#gather(this.#bare, bytes);
    if (this.#base64 === undefined) return this.#call.onData(bytes, 0, bytes.length, false);
    const decoded = this.#base64.read(bytes);
    if (decoded === undefined) return this.#call.refuse(NOT_BASE64);
    this.#pump.credit(bytes.length - decoded.length);
    this.#call.onData(decoded, 0, decoded.length, false);
  }

  onEnd(): void {
    if (this.#base64?.inGroup === true) return this.#call.refuse(NOT_BASE64);
    this.#call.remote_ended = true;
    if (this.#bare === undefined) return this.#call.onData(NO_BYTES, 0, 0, true);
    const message = this.#bare.take(this.#compressed);
    this.#bare.release();
    this.#call.onData(message, 0, message.length, true);
  }

  onBroken(): void {
    this.#onBroken();
  }

  #gather(bare: BareMessage, bytes: Uint8Array): void {
    this.#pump.credit(bytes.length);
    const problem = bare.append(bytes);
    if (problem === "buffers_full") return this.#call.refuse(BUFFERS_FULL);
    if (problem === "too_long") {
      const limit = this.#buffers.bounds.receive_message_bytes;
      const text = `the request message is larger than ${limit} bytes`;
      this.#call.refuse({ refusal: "message_bytes", code: Code.RESOURCE_EXHAUSTED, text });
    }
  }
}
