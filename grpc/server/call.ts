/**
 * One call on a server: from its headers to its status. It is the stream of the connection and the
 * context of the handler at once, so that a call costs one object; what few handlers look at
 * (metadata, signal, trailers) is made on first use.
 *
 * @module
 */

import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Timed } from "../deadlines.ts";
import { ErrorCode } from "../http2/frames.ts";
import { MESSAGE_PREFIX_BYTES } from "../http2/sender.ts";
import type { AbortOrigin } from "../http2/stream.ts";
import { isSingleMessage } from "../message_framing.ts";
import { MessageStream, type Pulled } from "../message_stream.ts";
import { RequestBody } from "./request_body.ts";
import { RespondingCall } from "./responding_call.ts";

const CALL_HAS_ENDED = new GrpcError("the call has ended", Code.CANCELLED);

/** One call. */
export class ServerCall extends RespondingCall implements Timed {
  deadline_place = -1;
  /** `performance.now()` at the headers, when somebody listens to events. */
  started_ms = 0;
  /** The handler has begun asynchronous work that has not ended. */
  handler_running = false;

  #body: RequestBody | undefined;
  #requests: MessageStream | undefined;
  #received_bytes = 0;
  #awaited_since_ms: number | undefined;
  #gate: "open" | "waiting" = "open";
  /** The one request, complete: here, or still in the body. */
  #message: Uint8Array | "in_body" | undefined;

  /** Whether the only request message is still awaited, or one of several has begun. */
  get awaitingRequest(): boolean {
    if (this.remote_ended || this.ended) return false;
    return this.#requests === undefined || this.#body?.inMessage === true;
  }

  // Life

  /** Runs interceptors and, for streaming requests, the handler. */
  start(end_stream: boolean): void {
    this.remote_ended = end_stream;
    for (let index = 0; index < this.route.interceptors.length; index++) {
      let waiting: void | Promise<void>;
      try {
        waiting = this.route.interceptors[index]?.(this);
      } catch (reason) {
        return this.#refuse(reason);
      }
      if (this.ended) return;
      if (waiting instanceof Promise) {
        this.#gate = "waiting";
        this.#handlerStarted();
        this.#intercept(waiting, index + 1);
        break;
      }
    }
    const { kind } = this.route;
    if (kind === "client_streaming" || kind === "bidi_streaming") {
      this.#requests = new MessageStream(
        () => this.#nextRequest(),
        () => this.abort_reason ?? (this.ended ? CALL_HAS_ENDED : undefined),
      );
      this.#armDeadline();
      if (this.#gate === "open") this.#runStreaming(this.#requests);
    } else if (end_stream) {
      this.#onRequestEnd();
    }
  }

  onData(bytes: Uint8Array, start: number, end: number, end_stream: boolean): void {
    if (this.ended) return; // Answered already; the answer waits for the window.
    this.#received_bytes += end - start;
    if (end_stream && this.#contentLengthBroken()) {
      return this.owner.violate(this, ErrorCode.PROTOCOL_ERROR, "malformed_request");
    }
    if (this.#requests !== undefined) {
      const problem = this.#bodyOf().receiveStreamed(bytes, start, end);
      if (problem !== undefined) return this.refuse(problem);
      return this.#requests.wake();
    }
    const { receive_message_bytes } = this.owner.bounds;
    if (
      end_stream && this.#body === undefined &&
      isSingleMessage(bytes, start, end, receive_message_bytes)
    ) {
      this.#message = this.owner.slab.copy(bytes, start + MESSAGE_PREFIX_BYTES, end);
      if (this.#gate === "open") this.#runSingle();
      return;
    }
    const problem = this.#bodyOf().receiveSingle(bytes, start, end);
    if (problem !== undefined) return this.refuse(problem);
    if (end_stream) this.#onRequestEnd();
    else this.#armDeadline();
  }

  onAborted(origin: AbortOrigin, code: number, text: string): void {
    const cancelled = origin === "peer" && code === ErrorCode.CANCEL;
    const error = origin === "connection"
      ? new GrpcError(text, Code.UNAVAILABLE)
      : new GrpcError(cancelled ? "the call was cancelled" : text, Code.CANCELLED);
    this.end(error.code, error);
  }

  /** Ends the call when a request message takes too long; called at a steady pace. */
  checkRequestTimeout(now_ms: number): void {
    this.#armDeadline();
    this.#awaited_since_ms ??= now_ms;
    if (now_ms - this.#awaited_since_ms < this.owner.bounds.request_timeout_ms) return;
    const text = "the request did not arrive in full";
    this.refuse({ refusal: "request_timeout", code: Code.DEADLINE_EXCEEDED, text });
  }

  // Requests

  #contentLengthBroken(): boolean {
    const { content_length } = this.head;
    return content_length !== undefined && content_length !== this.#received_bytes;
  }

  #bodyOf(): RequestBody {
    return this.#body ??= new RequestBody(
      this.owner,
      this.head.encoding,
      (bytes) => this.owner.giveCredit(this, bytes),
    );
  }

  /** END_STREAM of a request that is one message. */
  #onRequestEnd(): void {
    const problem = this.#bodyOf().checkSingle();
    if (problem !== undefined) return this.refuse(problem);
    this.#message = "in_body";
    if (this.#gate === "open") this.#runSingle();
  }

  /** The next request for the handler; an unsound one ends the call. */
  #nextRequest(): Pulled {
    const next = this.#bodyOf().next(this.remote_ended);
    if (next === "end" || next === "wait") return next;
    if (!(next instanceof Uint8Array)) {
      this.refuse(next);
      return "wait";
    }
    this.#awaited_since_ms = undefined;
    const decoded = this.#decode(next);
    return decoded.ok ? { message: decoded.message } : "wait";
  }

  #decode(bytes: Uint8Array): { ok: true; message: unknown } | { ok: false } {
    try {
      return { ok: true, message: this.route.decode(bytes) };
    } catch (reason) {
      if (reason instanceof GrpcError) {
        this.fail(reason);
        return { ok: false };
      }
      // INTERNAL, as the reference's library answers; the contract says nothing more exact.
      const text = reason instanceof Error ? reason.message : "not a message";
      this.fail(new GrpcError(`failed to decode request: ${text}`, Code.INTERNAL));
      return { ok: false };
    }
  }

  // Handlers

  async #intercept(first: Promise<void>, from: number): Promise<void> {
    try {
      await first;
      for (let index = from; index < this.route.interceptors.length; index++) {
        if (!this.ended) await this.route.interceptors[index]?.(this);
      }
    } catch (reason) {
      this.#handlerSettled();
      return this.#refuse(reason);
    }
    this.#handlerSettled();
    this.#gate = "open";
    if (this.ended) return;
    if (this.#requests !== undefined) this.#runStreaming(this.#requests);
    else if (this.#message !== undefined) this.#runSingle();
    else this.#armDeadline();
  }

  #refuse(reason: unknown): void {
    this.owner.onRefused("interceptor");
    this.fail(reason);
  }

  #runSingle(): void {
    const message = this.#message;
    this.#message = undefined;
    if (message === undefined || this.ended) return;
    if (this.deadline_ms !== undefined && this.deadline_ms <= Date.now()) {
      return this.onDeadline();
    }
    // Decompressed no earlier than it is used: until then it takes no more room than it came in.
    const bytes = message === "in_body" ? this.#bodyOf().takeSingle() : message;
    if (!(bytes instanceof Uint8Array)) return this.refuse(bytes);
    const decoded = this.#decode(bytes);
    if (!decoded.ok) return;
    if (this.route.kind === "server_streaming") this.#runStreaming(decoded.message);
    else this.#runUnary(decoded.message);
  }

  #runUnary(input: unknown): void {
    let result: unknown;
    try {
      result = this.route.handle(input, this);
    } catch (reason) {
      return this.fail(reason);
    }
    if (!isPromiseLike(result)) return this.reply(result);
    this.#handlerStarted();
    this.#armDeadline();
    result.then(
      (message) => {
        this.#handlerSettled();
        this.reply(message);
      },
      (reason) => {
        this.#handlerSettled();
        this.fail(reason);
      },
    );
  }

  /** Runs a handler that reads or writes a stream; never rejects. */
  async #runStreaming(input: unknown): Promise<void> {
    this.#handlerStarted();
    this.#armDeadline();
    try {
      const result = this.route.handle(input, this);
      if (this.route.kind === "client_streaming") {
        this.reply(await result);
      } else {
        for await (const message of result as AsyncIterable<unknown>) {
          if (this.ended) break;
          const sent = this.send(message);
          if (sent !== undefined) await sent;
          if (this.ended) break;
        }
        this.finish();
      }
    } catch (reason) {
      this.fail(reason);
    } finally {
      this.#handlerSettled();
    }
  }

  // Ends

  #armDeadline(): void {
    if (this.deadline_ms !== undefined && !this.ended) this.owner.deadlines.add(this);
  }

  onDeadline(): void {
    if (this.ended) return;
    this.owner.onRefused("deadline");
    this.owner.sender.forget(this);
    this.failWith(new GrpcError("the deadline passed", Code.DEADLINE_EXCEEDED), true);
  }

  /** Settles the call's state once; frames that tell the peer are the caller's. */
  protected end(code: Code, abort_reason: GrpcError | undefined): void {
    if (this.ended) return;
    this.ended = true;
    this.owner.deadlines.remove(this);
    this.#body?.release();
    if (!this.handler_running) this.#body?.releaseMessage();
    this.#message = undefined;
    if (abort_reason !== undefined) this.abort(abort_reason);
    this.#requests?.wake();
    this.onSent();
    this.owner.onCallEnded(this, code);
  }

  #handlerStarted(): void {
    this.handler_running = true;
    this.owner.onHandlerStarted(this);
  }

  #handlerSettled(): void {
    this.handler_running = false;
    if (this.ended) this.#body?.releaseMessage();
    this.owner.onHandlerSettled(this);
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value &&
    typeof value.then === "function";
}
