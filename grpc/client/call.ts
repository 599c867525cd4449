/**
 * One call of a client, from its request to its status. It outlives its stream: a call the server
 * never began, or that a retry policy covers, may be sent anew on another.
 *
 * @module
 */

import { CALL_RESENDS_MAX } from "../bounds.ts";
import { Code } from "../code.ts";
import {
  compress,
  type Compression,
  type DecompressionProblem,
  type OutgoingMessage,
} from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import { ErrorCode } from "../http2/frames.ts";
import type { Sender } from "../http2/sender.ts";
import { type AbortOrigin, Http2Stream } from "../http2/stream.ts";
import { MessageStream, type Pulled } from "../message_stream.ts";
import type { Metadata } from "../metadata.ts";
import { DeadlineTimer } from "../timeout.ts";
import type { ClientConnection } from "./connection.ts";
import type { CallOptions } from "./options.ts";
import { RequestBuffer } from "./request_buffer.ts";
import { type ResponseHost, ResponseReader } from "./response_reader.ts";
import type { CallRetry } from "./retry.ts";
import { encodingOf, fieldOf, headError, metadataOf, resetError, statusError } from "./status.ts";

/** When the server wants a failed call to be tried again (gRFC A6). */
const PUSHBACK = "grpc-retry-pushback-ms";

/** What a call asks for. */
export interface CallSpec {
  readonly path: string;
  /** The framed-to-be request when there is exactly one; undefined when requests are streamed. */
  readonly request: OutgoingMessage | undefined;
  /** How requests travel, those of at least `compression_min_bytes` that get smaller. */
  readonly compression: Compression;
  readonly compression_min_bytes: number;
  readonly options: CallOptions;
  readonly receive_message_bytes: number;
  /** Undefined: failures are final. */
  readonly retry: CallRetry | undefined;
}

/** Who finds a connection for a call. */
export interface CallPlacer {
  /** Attaches the call to a connection now or later, or ends it. */
  place(call: ClientCall): void;
  /** The same after a wait. */
  placeAfter(call: ClientCall, wait_ms: number): void;
  /** Forgets a call that waits. */
  withdraw(call: ClientCall): void;
}

/** A call's stream on one connection. */
export class ClientStream extends Http2Stream {
  readonly call: ClientCall;
  #headers_seen = false;

  constructor(call: ClientCall, send_window: number, receive_window: number) {
    super(send_window, receive_window);
    this.call = call;
  }

  /** A header list of the server: informational, head, trailers, or both at once. */
  onFields(fields: readonly string[], end_stream: boolean): void {
    const first = !this.#headers_seen;
    this.#headers_seen = true;
    if (first) this.call.onHead(fields, end_stream);
    else this.call.onTrailers(fields);
  }

  get headersSeen(): boolean {
    return this.#headers_seen;
  }

  override onData(bytes: Uint8Array, start: number, end: number, end_stream: boolean): void {
    this.call.onData(bytes, start, end, end_stream);
  }

  override onSent(): void {
    this.call.onSent();
  }

  override onAborted(origin: AbortOrigin, code: number, text: string): void {
    this.call.onAborted(origin, code, text);
  }
}

/** One call. */
export class ClientCall implements ResponseHost {
  readonly spec: CallSpec;
  readonly deadline_ms: number | undefined;
  /** What the credentials gave for this attempt; undefined: not yet asked. */
  authorization: Metadata | undefined;
  readonly #placer: CallPlacer;
  readonly #timer: DeadlineTimer | undefined;
  readonly #onAbort: (() => void) | undefined;
  readonly #reader: ResponseReader;
  #connection: ClientConnection | undefined;
  #stream: ClientStream | undefined;
  #resends = 0;
  #answered = false;
  /** No further attempt: the response has begun, or the requests are too large to keep. */
  #committed = false;
  #end: { readonly error: GrpcError | undefined } | undefined;
  #responses: MessageStream | undefined;
  #settleUnary: (() => void) | undefined;
  readonly #requests: RequestBuffer | undefined;
  #sending = false;
  #wakeSender: (() => void) | undefined;

  constructor(spec: CallSpec, placer: CallPlacer) {
    this.spec = spec;
    this.#placer = placer;
    this.#requests = spec.request === undefined ? new RequestBuffer() : undefined;
    this.#reader = new ResponseReader(this, spec.receive_message_bytes);
    const { timeout_ms, signal } = spec.options;
    if (timeout_ms !== undefined) {
      this.deadline_ms = Date.now() + timeout_ms;
      this.#timer = new DeadlineTimer(this.deadline_ms, () => {
        this.cancel(deadlinePassed());
      });
    }
    if (signal !== undefined) {
      this.#onAbort = () => this.cancel(cancelledBy(signal));
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  /** Whether the call has its status. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** Sends the call on its way; never throws. */
  start(): void {
    const { signal } = this.spec.options;
    if (signal?.aborted === true) return this.finish(cancelledBy(signal));
    if (this.deadline_ms !== undefined && this.deadline_ms <= Date.now()) {
      return this.finish(deadlinePassed());
    }
    this.#placer.place(this);
  }

  // Sending

  /** Called by a connection that has room. */
  attach(connection: ClientConnection, stream: ClientStream): void {
    this.#connection = connection;
    this.#stream = stream;
    if (this.spec.request === undefined) this.#sendRequests();
    else sendOutgoing(connection.sender, stream, this.spec.request, true);
  }

  /** Sends one of several requests; resolves when the next may be sent, or the call has ended. */
  async send(message: Uint8Array): Promise<void> {
    if (this.ended || this.#requests === undefined) return;
    const { compression, compression_min_bytes } = this.spec;
    const outgoing = compression === "gzip" ? compress(message, compression_min_bytes) : message;
    if (!this.#requests.add(outgoing)) this.#commit();
    this.#sendRequests();
    if (!this.#requests.hasUnsent && this.#stream?.pending === undefined) return;
    await new Promise<void>((resolve) => this.#wakeSender = resolve);
  }

  /** Tells the server that no further request comes. */
  halfClose(): void {
    this.#requests?.end();
    this.#sendRequests();
  }

  onSent(): void {
    this.#sendRequests();
  }

  /** Sends what the stream takes of the requests there are. */
  #sendRequests(): void {
    const requests = this.#requests;
    const stream = this.#stream;
    const sender = this.#connection?.sender;
    if (requests === undefined || stream === undefined || sender === undefined) return;
    if (this.#sending) return; // Called by the loop below.
    this.#sending = true;
    while (!stream.closed && stream.pending === undefined && requests.hasUnsent) {
      sendOutgoing(sender, stream, requests.take() ?? new Uint8Array(0), false);
    }
    this.#sending = false;
    if (stream.closed || stream.pending !== undefined) return;
    if (requests.complete && !stream.local_ended) sender.sendEnd(stream);
    this.#wakeSender?.();
    this.#wakeSender = undefined;
  }

  // Receiving

  /** The one response of a call that has one. */
  response(): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#settleUnary = () => {
        const taken = this.#end?.error ?? this.#reader.takeSingle();
        if (taken instanceof GrpcError) reject(taken);
        else resolve(taken);
      };
      if (this.ended) this.#settleUnary();
    });
  }

  /** The responses of a call that has several; leaving early cancels the call. */
  responses(): MessageStream {
    return this.#responses ??= new MessageStream(
      () => this.#pull(),
      () => this.#streamError(),
      () => this.cancel(new GrpcError("the call was cancelled", Code.CANCELLED)),
    );
  }

  onHead(fields: readonly string[], end_stream: boolean): void {
    this.#answered = true;
    const error = headError(fields);
    if (error !== undefined) return this.fail(error);
    if (end_stream) return this.onTrailers(fields);
    this.#commit();
    this.#reader.encoding = encodingOf(fields);
    const metadata = metadataOf(fields);
    if (metadata === undefined) return this.cancel(malformedMetadata());
    this.#tell(() => this.spec.options.onHeaders?.(metadata));
  }

  onTrailers(fields: readonly string[]): void {
    const metadata = metadataOf(fields);
    if (metadata === undefined) return this.cancel(malformedMetadata());
    const error = statusError(fields, metadata);
    if (error === undefined) this.spec.retry?.onSuccess();
    else if (this.#tryAgain(error.code, fieldOf(fields, PUSHBACK))) return;
    this.#tell(() => this.spec.options.onTrailers?.(metadata));
    if (error === undefined && this.#reader.head() === "partial") {
      return this.cancel(new GrpcError("the server ended inside a message", Code.INTERNAL));
    }
    this.#leaveStream(ErrorCode.NO_ERROR);
    this.finish(error === undefined ? undefined : this.#orDeadline(error));
  }

  onData(bytes: Uint8Array, start: number, end: number, end_stream: boolean): void {
    if (this.ended) return;
    if (!this.#answered) {
      return this.cancel(new GrpcError("the server sent data before its headers", Code.INTERNAL));
    }
    if (end_stream) {
      // What came with the end still counts: who reads a stream gets it before the error.
      if (this.#responses !== undefined) this.#reader.append(bytes, start, end);
      const text = "the server ended the call without trailers";
      return this.cancel(new GrpcError(text, Code.INTERNAL));
    }
    const problem = this.#responses === undefined
      ? this.#reader.receiveSingle(bytes, start, end)
      : this.#reader.receiveStreamed(bytes, start, end);
    if (problem !== undefined) return this.cancel(problem);
    this.#responses?.wake();
  }

  onAborted(origin: AbortOrigin, code: number, text: string): void {
    this.#stream = undefined;
    if (this.ended) return;
    if (origin === "peer" && code === ErrorCode.REFUSED_STREAM && this.#resend()) return;
    if (origin === "peer") return this.fail(this.#orDeadline(resetError(code)));
    if (origin === "connection") return this.fail(new GrpcError(text, Code.UNAVAILABLE));
    this.fail(new GrpcError(`the call broke: ${text}`, Code.INTERNAL));
  }

  /** The server promised that it never began this call. */
  onNotBegun(text: string): void {
    this.#stream = undefined;
    if (!this.#resend()) this.fail(new GrpcError(text, Code.UNAVAILABLE));
  }

  // Ends

  /** Ends the attempt; the call goes on when its retry policy has another one. */
  fail(error: GrpcError): void {
    if (!this.ended && !this.#tryAgain(error.code, undefined)) this.cancel(error);
  }

  /** A server may see the deadline pass, and call it cancelled, before our own timer fires. */
  #orDeadline(error: GrpcError): GrpcError {
    const late = this.deadline_ms !== undefined && this.deadline_ms <= Date.now();
    return late && error.code === Code.CANCELLED ? deadlinePassed() : error;
  }

  /** Ends the call from our side and tells the server. */
  cancel(error: GrpcError): void {
    if (this.ended) return;
    this.#leaveStream(ErrorCode.CANCEL);
    this.finish(error);
  }

  /** Settles the call; no frame is sent. */
  finish(error: GrpcError | undefined): void {
    if (this.ended) return;
    this.#end = { error };
    this.#timer?.clear();
    if (this.#onAbort !== undefined) {
      this.spec.options.signal?.removeEventListener("abort", this.#onAbort);
    }
    this.#placer.withdraw(this);
    this.#wakeSender?.();
    this.#settleUnary?.();
    this.#responses?.wake();
  }

  #leaveStream(code: ErrorCode): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined || stream.closed) return;
    if (stream.local_ended && stream.remote_ended) return;
    this.#connection?.reset(stream, code);
  }

  /** Places the call anew because no server began it; other failures cost an attempt. */
  #resend(): boolean {
    if (this.#committed || ++this.#resends > CALL_RESENDS_MAX) return false;
    this.#reset();
    this.#placer.place(this);
    return true;
  }

  #tryAgain(code: Code, pushback: string | undefined): boolean {
    const wait_ms = this.spec.retry?.nextWaitMs(code, pushback, this.#committed);
    if (wait_ms === undefined) return false;
    this.#leaveStream(ErrorCode.CANCEL);
    this.#reset();
    this.#placer.placeAfter(this, wait_ms);
    return true;
  }

  #commit(): void {
    this.#committed = true;
    this.#requests?.release();
  }

  /** As if nothing had been sent or received. */
  #reset(): void {
    this.#reader.clear();
    this.#reader.encoding = "identity";
    this.#answered = false;
    this.authorization = undefined;
    this.#requests?.rewind();
  }

  #pull(): Pulled {
    const message = this.#reader.next();
    if (message instanceof Uint8Array) {
      const problem = this.#reader.unsound();
      if (problem !== undefined) this.cancel(problem);
      return { message };
    }
    if (message !== undefined) this.#failReading(message);
    return this.#end !== undefined && this.#end.error === undefined ? "end" : "wait";
  }

  /** Messages that arrived before a failure are delivered before it. */
  #streamError(): GrpcError | undefined {
    return this.#reader.head() === "message" ? undefined : this.#end?.error;
  }

  /** A message cannot be read, whatever status has come after it meanwhile. */
  #failReading(error: GrpcError): void {
    this.#reader.clear();
    if (this.#end === undefined) this.cancel(error);
    else this.#end = { error };
  }

  giveCredit(bytes: number): void {
    if (this.#stream !== undefined) this.#connection?.giveCredit(this.#stream, bytes);
  }

  decompress(compressed: Uint8Array): Uint8Array | DecompressionProblem {
    return this.#connection?.decompress(compressed) ?? "corrupt";
  }

  /** Runs a callback of the caller's; what it throws ends the call, not the connection. */
  #tell(callback: () => void): void {
    try {
      callback();
    } catch (reason) {
      this.cancel(GrpcError.from(reason));
    }
  }
}

function sendOutgoing(
  sender: Sender,
  stream: ClientStream,
  message: OutgoingMessage,
  end_stream: boolean,
): void {
  if (message instanceof Uint8Array) sender.sendMessage(stream, message, end_stream);
  else sender.sendMessage(stream, message.bytes, end_stream, true);
}

function deadlinePassed(): GrpcError {
  return new GrpcError("the deadline passed", Code.DEADLINE_EXCEEDED);
}

function cancelledBy(signal: AbortSignal): GrpcError {
  const { reason } = signal;
  if (reason instanceof GrpcError) return reason;
  const timed_out = reason instanceof Error && reason.name === "TimeoutError";
  return timed_out
    ? new GrpcError("the deadline passed", Code.DEADLINE_EXCEEDED, { cause: reason })
    : new GrpcError("the call was cancelled", Code.CANCELLED, { cause: reason });
}

function malformedMetadata(): GrpcError {
  return new GrpcError(
    "the server's metadata holds a `-bin` value that is not base64",
    Code.INTERNAL,
  );
}
