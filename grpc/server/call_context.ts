/**
 * What a handler sees of its call. Few handlers look at everything, so metadata, headers, trailers
 * and the signal are made on first use.
 *
 * @module
 */

import type { Compression } from "../compression.ts";
import type { GrpcError } from "../grpc_error.ts";
import { Http2Stream } from "../http2/stream.ts";
import { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";
import type { RequestHead } from "./request_head.ts";
import type { Route } from "./route.ts";
import type { CallContext } from "./types.ts";

/** The head of a request that becomes a call. */
export type CallHead = Extract<RequestHead, { kind: "call" }>;

/** The stream of a call as its handler's context. */
export abstract class ServerCallContext extends Http2Stream implements CallContext {
  readonly deadline_ms: number | undefined;
  readonly peer: Peer;
  compression: Compression;
  protected readonly head: CallHead;
  protected readonly route: Route;
  /** Why the call ended before its handler did; undefined while it runs or when it ended well. */
  protected abort_reason: GrpcError | undefined;
  /** Response headers and trailers, if the handler has set any. */
  protected own_headers: Metadata | undefined;
  protected own_trailers: Metadata | undefined;
  #metadata: Metadata | undefined;
  #abort: AbortController | undefined;
  #abort_listener: ((reason: GrpcError) => void) | undefined;

  constructor(head: CallHead, peer: Peer, send_window: number, receive_window: number) {
    super(send_window, receive_window);
    this.head = head;
    this.route = head.route;
    this.peer = peer;
    this.compression = head.route.compression;
    this.deadline_ms = head.timeout_ms === undefined ? undefined : Date.now() + head.timeout_ms;
  }

  get method(): string {
    return this.route.path;
  }

  get metadata(): Metadata {
    return this.#metadata ??= Metadata.fromFields(this.head.fields);
  }

  get headers(): Metadata {
    return this.own_headers ??= new Metadata();
  }

  get trailers(): Metadata {
    return this.own_trailers ??= new Metadata();
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.abort_reason !== undefined) this.#abort.abort(this.abort_reason);
    }
    return this.#abort.signal;
  }

  abstract sendHeaders(): void;

  /** Hears of the abort as {@linkcode signal} does, without a signal's cost; one at most. */
  onAbort(listener: (reason: GrpcError) => void): void {
    this.#abort_listener = listener;
    if (this.abort_reason !== undefined) listener(this.abort_reason);
  }

  /** Takes over response headers that another server has made. */
  adoptHeaders(headers: Metadata): void {
    this.own_headers = headers;
  }

  /** Takes over trailers that another server has made. */
  adoptTrailers(trailers: Metadata): void {
    this.own_trailers = trailers;
  }

  /** Tells the handler, now or when it first looks. */
  protected abort(reason: GrpcError): void {
    this.abort_reason = reason;
    this.#abort?.abort(reason);
    this.#abort_listener?.(reason);
  }
}
