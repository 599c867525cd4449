/**
 * The stream of a request that was refused by its head. It is answered at once and runs no handler;
 * what is left of the request is thrown away. Until the request ends it obeys and enforces the rules
 * of every stream (RFC 9113 section 5.1): a peer that breaks one hears of it.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { ErrorCode } from "../http2/frames.ts";
import { type AbortOrigin, Http2Stream } from "../http2/stream.ts";

/** What a refused stream needs of its connection. */
export interface RefusedOwner {
  readonly bounds: Bounds;
  reset(stream: RefusedStream, code: ErrorCode): void;
  violate(stream: RefusedStream, code: ErrorCode, refusal: Refusal): void;
}

/** A refused request whose answer or whose data is still on its way. */
export class RefusedStream extends Http2Stream {
  readonly handler_running = false;
  readonly #owner: RefusedOwner;
  readonly #content_length: number | undefined;
  #received_bytes = 0;
  #since_ms: number | undefined;

  /** @param content_length what the request announced, held against what it sends */
  constructor(
    owner: RefusedOwner,
    id: number,
    send_window: number,
    content_length: number | undefined,
  ) {
    super(send_window, owner.bounds.stream_window_bytes);
    this.id = id;
    this.#owner = owner;
    this.#content_length = content_length;
  }

  /** Whether the request may still go on. */
  get awaitingRequest(): boolean {
    return !this.remote_ended;
  }

  /** Stops a request that goes on for too long after its answer; called at a steady pace. */
  checkRequestTimeout(now_ms: number): void {
    this.#since_ms ??= now_ms;
    if (now_ms - this.#since_ms >= this.#owner.bounds.refused_request_timeout_ms) this.#stop();
  }

  onData(_bytes: Uint8Array, start: number, end: number, end_stream: boolean): void {
    this.#received_bytes += end - start;
    const announced = this.#content_length;
    if (end_stream && announced !== undefined && announced !== this.#received_bytes) {
      return this.#owner.violate(this, ErrorCode.PROTOCOL_ERROR, "malformed_request");
    }
    if (!end_stream && this.#received_bytes > this.#owner.bounds.refused_body_bytes) this.#stop();
  }

  onSent(): void {}

  onAborted(_origin: AbortOrigin, _code: number, _text: string): void {}

  /** Asks the peer to stop sending what nobody reads (RFC 9113 section 8.1). */
  #stop(): void {
    this.#owner.reset(this, this.local_ended ? ErrorCode.NO_ERROR : ErrorCode.CANCEL);
  }
}
