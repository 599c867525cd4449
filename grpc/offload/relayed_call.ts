/**
 * A front's handlers: each hands its call to the origin and answers with what the origin says. To
 * the connection it is a handler like any other, so every rule and bound of calls holds here.
 *
 * A handler settles when the origin's has: a cancelled call keeps its place on its connection until
 * the work it started is over, as it does without a front.
 *
 * @module
 */

import { Code } from "../code.ts";
import type { Compression } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import { Metadata } from "../metadata.ts";
import { MESSAGE_PREFIX_BYTES } from "../http2/sender.ts";
import type { ServerCallContext } from "../server/call_context.ts";
import { decodeStatusDetails } from "../status_details.ts";
import type { BatchReader, BatchWriter } from "./batch.ts";
import { FrameKind } from "./batch.ts";

/**
 * Bytes of messages on their way in one direction of one streaming call, beyond which the sender
 * waits for the receiver; one message may pass it.
 */
export const STREAM_CREDIT_BYTES = 64 * 1024;

/** Why a call ended at its peer, as a CANCEL frame says it. */
export const CancelReason = { CANCELLED: 0, OTHER: 1 } as const;

/** What a relayed call needs of its front. */
export interface RelayHost {
  frames(): BatchWriter;
  /** The origin has said its last about a call. */
  onRelayed(call: RelayedCall): void;
}

/** How a call ended at the origin. */
type Ending = { readonly error: GrpcError | undefined };

/** One call as the front follows it. */
export class RelayedCall {
  readonly id: number;
  readonly #host: RelayHost;
  readonly #context: ServerCallContext;
  readonly #responses: Uint8Array[] = [];
  /** How each of them is to travel. */
  readonly #compressions: Compression[] = [];
  #request_credit = STREAM_CREDIT_BYTES;
  #consumed_bytes = 0;
  #ending: Ending | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(id: number, host: RelayHost, context: ServerCallContext) {
    this.id = id;
    this.#host = host;
    this.#context = context;
    context.onAbort((reason) => this.#cancel(reason));
  }

  // What the origin says

  onData(message: Uint8Array, compression: Compression): void {
    this.#responses.push(message);
    this.#compressions.push(compression);
    this.#wakeReader?.();
  }

  onCredit(bytes: number): void {
    this.#request_credit += bytes;
    if (this.#request_credit > 0) this.#wakeWriter?.();
  }

  onHead(compression: Compression, fields: readonly string[]): void {
    this.#context.compression = compression;
    if (fields.length > 0) this.#context.adoptHeaders(Metadata.fromFields(fields));
    try {
      this.#context.sendHeaders();
    } catch {
      // Too large for this peer: the response fails of it, as it would without a front.
    }
  }

  onEnd(reader: BatchReader): void {
    const code = reader.u32() as Code;
    const text = reader.text();
    const metadata = Metadata.fromFields(reader.fields());
    const details = decodeStatusDetails(reader.text());
    const trailers = reader.fields();
    if (trailers.length > 0) this.#context.adoptTrailers(Metadata.fromFields(trailers));
    this.end(code === Code.OK ? undefined : new GrpcError(text, code, { metadata, details }));
  }

  /** Nothing more will come of the origin. */
  end(error: GrpcError | undefined): void {
    this.#ending = { error };
    this.#host.onRelayed(this);
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  // Handlers

  /** The one response of a unary or client-streaming call. */
  async response(): Promise<Uint8Array> {
    while (this.#ending === undefined) await this.#somethingNew();
    const response = this.#nextResponse();
    if (this.#ending.error !== undefined) throw this.#ending.error;
    if (response === undefined) throw new GrpcError("internal error", Code.INTERNAL);
    return response;
  }

  /** The responses of a streaming call, each given credit for once it was taken over. */
  async *responses(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const response = this.#nextResponse();
        if (response !== undefined) {
          yield response;
          this.#consumed(response.length + MESSAGE_PREFIX_BYTES);
          continue;
        }
        if (this.#ending !== undefined) break;
        await this.#somethingNew();
      }
    } finally {
      // Left early: the abort has told the origin, whose handler may still be at work.
      while (this.#ending === undefined) await this.#somethingNew();
    }
    if (this.#ending?.error !== undefined) throw this.#ending.error;
  }

  /** Hands requests on as they come; never rejects. */
  async sendAll(requests: AsyncIterable<unknown>): Promise<void> {
    try {
      for await (const request of requests) {
        if (this.#ending !== undefined) return;
        const message = request as Uint8Array;
        this.send(message, false);
        this.#request_credit -= message.length + MESSAGE_PREFIX_BYTES;
        while (this.#request_credit <= 0 && this.#ending === undefined) {
          await new Promise<void>((resolve) => this.#wakeWriter = resolve);
        }
      }
      if (this.#ending === undefined) this.send(undefined, true);
    } catch {
      // The call has failed here: its peer was told, and the abort told the origin.
    }
  }

  /** Sends a request message, the last of all or not, or only that there are no more. */
  send(message: Uint8Array | undefined, last: boolean): void {
    const frames = this.#host.frames();
    frames.frame(FrameKind.DATA, this.id);
    frames.u8(last ? 1 : 0);
    if (message === undefined) frames.u32(0);
    else frames.message(message);
  }

  #nextResponse(): Uint8Array | undefined {
    this.#context.compression = this.#compressions.shift() ?? this.#context.compression;
    return this.#responses.shift();
  }

  #cancel(reason: GrpcError): void {
    // The origin keeps the same deadline itself and gives its handler the same reason.
    if (this.#ending !== undefined || reason.code === Code.DEADLINE_EXCEEDED) return;
    const frames = this.#host.frames();
    frames.frame(FrameKind.CANCEL, this.id);
    frames.u8(reason.code === Code.CANCELLED ? CancelReason.CANCELLED : CancelReason.OTHER);
    frames.text(reason.message);
  }

  #consumed(bytes: number): void {
    this.#consumed_bytes += bytes;
    if (this.#consumed_bytes * 2 < STREAM_CREDIT_BYTES || this.#ending !== undefined) return;
    const frames = this.#host.frames();
    frames.frame(FrameKind.CREDIT, this.id);
    frames.u32(this.#consumed_bytes);
    this.#consumed_bytes = 0;
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => this.#wakeReader = resolve);
  }
}
