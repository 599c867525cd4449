/**
 * One web request and its response, carrying one call: the body becomes the call's data, what the
 * call decides becomes a response of the request's protocol.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import type { DecompressionProblem } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import { ErrorCode } from "../http2/frames.ts";
import type { Deadlines } from "../deadlines.ts";
import { MessageSlab } from "../message_slab.ts";
import type { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";
import { countEnded, countRefused, countStarted, type ServerShare } from "../server/accounting.ts";
import { ServerCall } from "../server/call.ts";
import type { CallHead } from "../server/call_context.ts";
import type { CallOwner } from "../server/call_owner.ts";
import type { RespondingCall } from "../server/responding_call.ts";
import type { RequestProblem } from "../server/request_body.ts";
import { type FeedSource, RequestFeed } from "./request_feed.ts";
import { ResponseBody } from "./response_body.ts";
import { type CallEnd, type ResponseForm, responseForm } from "./response_form.ts";
import { Stillness } from "./stillness.ts";

/** What an exchange needs of the room it lives in. */
export interface ExchangeRoom extends ServerShare {
  /** Bytes that wait for readers, over all exchanges. */
  pending_bytes: number;
  /** Decompresses a message, at the cost of all web calls. */
  decompress(compressed: Uint8Array): Uint8Array<ArrayBuffer> | DecompressionProblem;
  /** The exchange holds nothing any more. */
  onClosed(exchange: WebExchange): void;
}

/** A request that became a call. */
export interface WebRequest extends FeedSource {
  readonly head: CallHead;
  readonly peer: Peer;
  /** Looked at late: see {@linkcode WebExchange.sweep}. */
  readonly signal: () => AbortSignal;
}

/** Longest response given to the platform at once; longer ones are pulled and counted. */
const WHOLE_BYTES_MAX = 64 * 1024;
/** HTTP has no such settings: what the peer takes is told by its reading. */
const PEER = { initial_window_bytes: 0, header_list_bytes: Number.POSITIVE_INFINITY };

const IDLE: RequestProblem = {
  refusal: "web_idle_timeout",
  code: Code.UNAVAILABLE,
  text: "neither side has sent anything for too long: call again",
};

/** One exchange. */
export class WebExchange implements CallOwner {
  readonly bounds: Bounds;
  readonly peerInfo: Peer;
  readonly deadlines: Deadlines;
  readonly peer = PEER;
  readonly sender = this;
  readonly slab = new MessageSlab();
  /** Resolves once the status is known; never rejects. */
  readonly response: Promise<Response>;

  readonly #room: ExchangeRoom;
  readonly #request: WebRequest;
  readonly #form: ResponseForm;
  readonly #call: ServerCall;
  readonly #feed: RequestFeed;
  readonly #respond: (response: Response) => void;
  #responded = false;
  /** Of a response that is not streamed. */
  #headers: Metadata | undefined;
  #message: Uint8Array | undefined;
  #body: ResponseBody | undefined;
  #body_over = false;
  #call_ended = false;
  #closed = false;
  /** Bytes put into the response, and bytes its reader has taken. */
  #pushed_bytes = 0;
  #left_bytes = 0;
  readonly #quiet = new Stillness();
  readonly #stalled = new Stillness();
  #signal: AbortSignal | undefined;

  constructor(room: ExchangeRoom, request: WebRequest) {
    this.#room = room;
    this.#request = request;
    this.bounds = room.bounds;
    this.peerInfo = request.peer;
    this.deadlines = room.deadlines;
    this.#form = responseForm(request.protocol, room.bounds);
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.response = promise;
    this.#respond = resolve;
    this.#call = new ServerCall(this, 0, request.head);
    this.#feed = new RequestFeed(this.#call, this, request, () => this.#onGone());
  }

  /** Begins the call. */
  start(): void {
    countStarted(this.#room, this.#call);
    this.#call.start(false);
    this.#feed.start();
  }

  // The request

  giveCredit(_call: ServerCall, bytes: number): void {
    this.#feed.credit(bytes);
  }

  takeBuffer(bytes: number): boolean {
    const { counters, bounds } = this.#room;
    if (counters.buffered_bytes + bytes > bounds.server_buffer_bytes) return false;
    counters.buffered_bytes += bytes;
    return true;
  }

  releaseBuffer(bytes: number): void {
    this.#room.counters.buffered_bytes -= bytes;
  }

  decompress(compressed: Uint8Array): Uint8Array<ArrayBuffer> | DecompressionProblem {
    return this.#room.decompress(compressed);
  }

  // The response

  hasRoom(bytes: number): boolean {
    return this.#room.pending_bytes + bytes <= this.bounds.web_pending_bytes;
  }

  sendHeaders(_call: RespondingCall, metadata: Metadata | undefined): void {
    const { kind } = this.#request.head.route;
    if (kind === "unary" || kind === "client_streaming") {
      this.#headers = metadata;
      return;
    }
    this.#attempt(() => {
      const headers = this.#form.head(metadata);
      this.#answer(new Response(this.#openBody().stream, { status: 200, headers }));
    });
  }

  sendMessage(_call: RespondingCall, bytes: Uint8Array): boolean {
    if (this.#body === undefined) {
      this.#message = bytes;
      return true;
    }
    this.#push(this.#body, this.#form.frame(bytes));
    return this.#body.waiting_bytes < this.bounds.output_high_water_bytes;
  }

  sendOk(_call: RespondingCall, trailers: Metadata | undefined): void {
    this.#finish({ error: undefined, trailers });
  }

  sendError(_call: RespondingCall, error: GrpcError, trailers: Metadata | undefined): void {
    this.#finish({ error, trailers });
  }

  forget(): void {
    this.#body?.dropUnsent();
  }

  #finish(end: CallEnd): void {
    if (this.#body !== undefined) {
      this.#push(this.#body, this.#form.last(end));
      this.#body.end();
      return;
    }
    this.#attempt(() => {
      const { status, headers, body } = this.#form.whole(this.#headers, this.#message, end);
      this.#message = undefined;
      if (body.length <= WHOLE_BYTES_MAX) {
        this.#answer(new Response(body, { status, headers }));
        this.#body_over = true;
        return this.#closeIfDone();
      }
      headers.set("content-length", String(body.length));
      const streamed = this.#openBody();
      this.#push(streamed, body);
      streamed.end();
      this.#answer(new Response(streamed.stream, { status, headers }));
    });
  }

  #openBody(): ResponseBody {
    return this.#body = new ResponseBody({
      onLeft: (bytes) => {
        this.#room.pending_bytes -= bytes;
        this.#left_bytes += bytes;
        if (this.#body !== undefined && this.#body.waiting_bytes === 0) this.#call.onSent();
      },
      onFinished: () => this.#onBodyOver(),
      onCancelled: () => {
        this.#onBodyOver();
        this.#onGone();
      },
    });
  }

  #push(body: ResponseBody, bytes: Uint8Array<ArrayBuffer>): void {
    this.#room.pending_bytes += bytes.length;
    this.#pushed_bytes += bytes.length;
    body.push(bytes);
  }

  #onBodyOver(): void {
    this.#body_over = true;
    this.#closeIfDone();
  }

  /** Builds a response; metadata HTTP cannot carry must not leave the peer without one. */
  #attempt(build: () => void): void {
    try {
      build();
    } catch (reason) {
      this.#room.emit?.({ type: "internal_error", reason });
      this.#body_over = true;
      this.#answer(new Response(null, { status: 500 }));
      this.#call.onAborted("violation", ErrorCode.INTERNAL_ERROR, "the response cannot be written");
      this.#closeIfDone();
    }
  }

  #answer(response: Response): void {
    this.#responded = true;
    this.#respond(response);
  }

  // Ends

  violate(call: ServerCall, _code: ErrorCode, refusal: Refusal): void {
    const text = "the request is not what its headers announced";
    call.refuse({ refusal, code: Code.INVALID_ARGUMENT, text });
  }

  onRefused(refusal: Refusal): void {
    countRefused(this.#room, refusal, this.peerInfo);
  }

  onCallEnded(call: ServerCall, code: Code): void {
    this.#call_ended = true;
    countEnded(this.#room, call, code, this.peerInfo);
    this.#feed.stop();
  }

  onHandlerStarted(): void {}

  onHandlerSettled(): void {
    this.#closeIfDone();
  }

  onHandlerFailed(method: string, reason: unknown): void {
    this.#room.emit?.({ type: "handler_failed", method, reason });
  }

  /** The peer is not there any more. */
  #onGone(): void {
    this.#call.onAborted("peer", ErrorCode.CANCEL, "the call was cancelled");
    this.#cut();
  }

  /** Ends the response where it stands; for a peer that does not read it. */
  #cut(): void {
    this.#body?.abort();
    if (!this.#responded) this.#answer(new Response(null, { status: 499 }));
    this.#body_over = true;
    this.#closeIfDone();
  }

  /** Ends the call because the server ends. */
  abort(): void {
    if (!this.#call_ended) {
      const error = new GrpcError("the server stopped", Code.UNAVAILABLE);
      this.#call.onAborted("connection", ErrorCode.NO_ERROR, error.message);
      this.#finish({ error, trailers: undefined });
    }
    // Whoever reads gets the last frame; whoever does not is not waited for.
    if (this.#body !== undefined && this.#body.waiting_bytes > 0) this.#cut();
  }

  #closeIfDone(): void {
    if (this.#closed || !this.#body_over || !this.#call_ended || this.#call.handler_running) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#onSignal);
    this.#room.onClosed(this);
  }

  // Time

  /**
   * Looks at what takes too long. Only a call that lasts until now looks at the request's signal:
   * it is dear, and where it aborts after success too, the runtime says so on standard error.
   */
  sweep(now_ms: number): void {
    if (this.#call.awaitingRequest) this.#call.checkRequestTimeout(now_ms);
    this.#checkStall(now_ms);
    this.#checkIdle(now_ms);
    if (this.#signal === undefined && !this.#responded) this.#watch();
  }

  #watch(): void {
    this.#signal = this.#request.signal();
    if (this.#signal.aborted) return this.#onGone();
    this.#signal.addEventListener("abort", this.#onSignal);
  }

  /** Once there is a response its reader's going away is told by the body. */
  readonly #onSignal = (): void => {
    if (!this.#responded) this.#onGone();
  };

  #checkStall(now_ms: number): void {
    if (this.#body === undefined || this.#body.waiting_bytes === 0) return this.#stalled.reset();
    const stalled_ms = this.#stalled.look(this.#left_bytes, now_ms);
    if (stalled_ms < this.bounds.window_stall_timeout_ms) return;
    this.onRefused("window_stall_timeout");
    this.#call.onAborted("stalled", ErrorCode.CANCEL, "the response was not read");
    this.#cut();
  }

  #checkIdle(now_ms: number): void {
    if (this.#request.head.route.kind === "unary" || this.#call_ended) return;
    const moved_bytes = this.#feed.read_bytes + this.#pushed_bytes + this.#left_bytes;
    if (this.#quiet.look(moved_bytes, now_ms) < this.bounds.web_idle_timeout_ms) return;
    this.#call.refuse(IDLE);
  }
}
