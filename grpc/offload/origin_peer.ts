/**
 * A connection of a front, as the calls on it see it at the origin.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import type { Code } from "../code.ts";
import type { GrpcError } from "../grpc_error.ts";
import type { ErrorCode } from "../http2/frames.ts";
import type { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";
import { countEnded, countRefused } from "../server/accounting.ts";
import type { ServerCall } from "../server/call.ts";
import type { CallOwner } from "../server/call_owner.ts";
import type { RespondingCall } from "../server/responding_call.ts";
import { FrameKind } from "./batch.ts";
import type { Origin } from "./origin.ts";
import { STREAM_CREDIT_BYTES } from "./relayed_call.ts";

/** The owner of one connection's calls. */
export class OriginPeer implements CallOwner {
  readonly peerInfo: Peer;
  readonly bounds: Bounds;
  /** What the peer really reads, its front knows and holds answers to. */
  readonly peer = {
    initial_window_bytes: STREAM_CREDIT_BYTES,
    header_list_bytes: Number.POSITIVE_INFINITY,
  };
  readonly sender: CallOwner["sender"];
  readonly slab: CallOwner["slab"];
  readonly deadlines: CallOwner["deadlines"];
  readonly #origin: Origin;
  #buffered_bytes = 0;

  constructor(origin: Origin, peer: Peer) {
    this.#origin = origin;
    this.peerInfo = peer;
    this.bounds = origin.share.bounds;
    this.slab = origin.slab;
    this.deadlines = origin.share.deadlines;
    this.sender = {
      sendMessage: (call, bytes) => this.#sendMessage(call, bytes),
      forget: () => {},
    };
  }

  #sendMessage(call: RespondingCall, bytes: Uint8Array): boolean {
    const frames = this.#origin.frames();
    frames.frame(FrameKind.DATA, call.id);
    frames.u8(call.compression === "gzip" ? 1 : 0);
    frames.message(bytes);
    call.send_window -= bytes.length + 5;
    return call.send_window > 0;
  }

  hasRoom(bytes: number): boolean {
    return this.#origin.hasRoom(bytes);
  }

  sendHeaders(call: RespondingCall, metadata: Metadata | undefined): void {
    const frames = this.#origin.frames();
    frames.frame(FrameKind.HEAD, call.id);
    frames.u8(call.compression === "gzip" ? 1 : 0);
    frames.fields(metadata?.fields ?? []);
  }

  sendOk(call: RespondingCall, trailers: Metadata | undefined): void {
    this.#origin.end(call.id, undefined, trailers);
  }

  sendError(call: RespondingCall, error: GrpcError, trailers: Metadata | undefined): void {
    this.#origin.end(call.id, error, trailers);
  }

  /** Fronts decompress: what they hand on names no encoding. */
  decompress(): "corrupt" {
    return "corrupt";
  }

  giveCredit(call: ServerCall, bytes: number): void {
    call.receive_unacknowledged += bytes;
    if (call.remote_ended || call.receive_unacknowledged * 2 < STREAM_CREDIT_BYTES) return;
    const frames = this.#origin.frames();
    frames.frame(FrameKind.CREDIT, call.id);
    frames.u32(call.receive_unacknowledged);
    call.receive_unacknowledged = 0;
  }

  violate(call: ServerCall, code: ErrorCode): void {
    call.onAborted("violation", code, "the request is malformed");
    this.#origin.end(call.id, undefined, undefined);
  }

  takeBuffer(bytes: number): boolean {
    const { counters } = this.#origin.share;
    if (
      this.#buffered_bytes + bytes > this.bounds.connection_buffer_bytes ||
      counters.buffered_bytes + bytes > this.bounds.server_buffer_bytes
    ) return false;
    this.#buffered_bytes += bytes;
    counters.buffered_bytes += bytes;
    return true;
  }

  releaseBuffer(bytes: number): void {
    this.#buffered_bytes -= bytes;
    this.#origin.share.counters.buffered_bytes -= bytes;
  }

  /** Deadlines are counted where the peer is. */
  onRefused(refusal: Refusal): void {
    if (refusal === "deadline") return;
    countRefused(this.#origin.share, refusal, this.peerInfo);
  }

  onCallEnded(call: ServerCall, code: Code): void {
    countEnded(this.#origin.share, call, code, this.peerInfo);
  }

  onHandlerStarted(): void {}

  onHandlerSettled(call: ServerCall): void {
    this.#origin.onHandlerSettled(call.id);
  }

  onHandlerFailed(method: string, reason: unknown): void {
    this.#origin.share.emit?.({ type: "handler_failed", method, reason });
  }
}
