/**
 * The server's side of one connection: opens calls for header blocks, refuses what may not be, and
 * drains on shutdown.
 *
 * @module
 */

import type { Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import type { Deadlines } from "../deadlines.ts";
import { GrpcError } from "../grpc_error.ts";
import { ACCEPTED_ENCODINGS, type DecompressionProblem, Decompressor } from "../compression.ts";
import { encodeBlock } from "../hpack/encoder.ts";
import { ConnectionError } from "../http2/connection_error.ts";
import { Http2Connection } from "../http2/connection.ts";
import { areAllowedTrailers } from "../http2/field_rules.ts";
import { calm } from "../http2/endpoint.ts";
import { ErrorCode, MAX_31_BIT, TOO_MANY_PINGS } from "../http2/frames.ts";
import type { Transport } from "../http2/transport.ts";
import type { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";
import { HeadCache } from "../http2/head_cache.ts";
import { AddressAccount, NO_LIMITS } from "./address_counts.ts";
import { countEnded, countRefused, countStarted, type ServerShare } from "./accounting.ts";
import { ServerCall } from "./call.ts";
import type { CallOwner } from "./call_owner.ts";
import { ConnectionAge } from "./connection_age.ts";
import { PingPolicy } from "./ping_policy.ts";
import type { ReadGate } from "./read_gate.ts";
import { RefusedStream } from "./refused_stream.ts";
import { parseRequestHead, type RequestHead } from "./request_head.ts";
import {
  errorTrailers,
  okTrailers,
  PLAIN_BODY,
  plainHeaders,
  type ResponseEncoding,
  responseHeaders,
  type StatusLimits,
} from "./response.ts";

/** What the connections of one server share. */
export interface ConnectionShare extends ServerShare {
  /** Closed while what is behind the server cannot take more. */
  readonly gate?: ReadGate;
}

/** A stream a client opened. */
type ServerStream = ServerCall | RefusedStream;

/** How far a graceful end has come. */
type Draining = "no" | "announced" | "final";

/** Why no call is made for a request. */
type Refused = Extract<RequestHead, { kind: "status" }>;

const SERVER_FULL: Refused = {
  kind: "status",
  path: "",
  code: Code.UNAVAILABLE,
  text: "the server has too many calls open: retry later",
  refusal: "server_calls",
  accept_encoding: false,
};

const ADDRESS_FULL: Refused = {
  ...SERVER_FULL,
  text: "your address has too many calls open on the server: retry later",
  refusal: "calls_per_address",
};

const NO_BYTES = new Uint8Array(0);

/** One accepted connection. */
export class ServerConnection extends Http2Connection<ServerStream> implements CallOwner {
  readonly peerInfo: Peer;
  /** What the peer's address takes of the server. */
  readonly account: AddressAccount;
  readonly deadlines: Deadlines;
  readonly #share: ConnectionShare;
  readonly #heads: HeadCache<RequestHead>;
  /** Calls whose stream is gone and whose handler still works: they keep their place. */
  readonly #orphans = new Set<ServerCall>();
  readonly #onGone: (connection: ServerConnection) => void;
  #last_stream_id = 0;
  /** What the last GOAWAY named: later streams are not begun, and no later GOAWAY may name more. */
  #final_stream_id: number | undefined;
  #buffered_bytes = 0;
  #decompressor: Decompressor | undefined;
  #draining: Draining = "no";
  #announced_ms: number | undefined;
  #drain_text = "";
  readonly #pings: PingPolicy;
  readonly #age: ConnectionAge;

  constructor(
    transport: Transport,
    peer: Peer,
    share: ConnectionShare,
    onGone: (connection: ServerConnection) => void,
    account = new AddressAccount(NO_LIMITS, () => {}),
  ) {
    super("server", transport, share.bounds, share.counters);
    this.peerInfo = peer;
    this.account = account;
    this.#share = share;
    this.deadlines = share.deadlines;
    this.#onGone = onGone;
    this.#heads = new HeadCache(this.decoder);
    this.#pings = new PingPolicy(share.bounds);
    this.#age = new ConnectionAge(share.bounds, performance.now());
  }

  // Streams

  onHeaderBlock(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    end_stream: boolean,
  ): void {
    const open = this.streams.get(stream_id);
    if (open !== undefined) return this.#onTrailers(open, bytes, start, end, end_stream);
    if ((stream_id & 1) === 0) {
      throw new ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        "protocol",
        "HEADERS on a stream a client may not open",
      );
    }
    const head = this.#headOf(bytes, start, end);
    if (stream_id <= this.#last_stream_id) {
      if (this.wasReset(stream_id)) return;
      throw new ConnectionError(
        ErrorCode.STREAM_CLOSED,
        "closed_stream",
        "HEADERS on a closed stream",
      );
    }
    this.#last_stream_id = stream_id;
    if (
      this.#final_stream_id !== undefined ||
      this.streams.size + this.#orphans.size >= this.bounds.concurrent_streams
    ) {
      return this.refuseStream(stream_id, ErrorCode.REFUSED_STREAM, "concurrent_streams");
    }
    if (head.kind !== "call") return this.#refuseHead(stream_id, head, end_stream);
    const { counters } = this.#share;
    if (counters.calls_held >= this.bounds.server_calls) {
      return this.#refuseHead(stream_id, SERVER_FULL, end_stream);
    }
    if (!this.account.takeCall()) return this.#refuseHead(stream_id, ADDRESS_FULL, end_stream);
    counters.calls_held++;
    const call = new ServerCall(this, stream_id, head);
    this.add(call);
    countStarted(this.#share, call);
    call.start(end_stream);
  }

  #headOf(bytes: Uint8Array, start: number, end: number): RequestHead {
    const cached = this.#heads.get(bytes, start, end);
    if (cached !== undefined) return cached;
    const generation = this.decoder.generation;
    const { fields, too_large } = this.decode(bytes, start, end);
    const head = too_large ? this.#headTooLarge() : parseRequestHead(fields, this.#share.routes);
    if (generation === this.decoder.generation) this.#heads.put(bytes, start, end, head);
    return head;
  }

  #headTooLarge(): RequestHead {
    return {
      kind: "status",
      path: "",
      code: Code.RESOURCE_EXHAUSTED,
      text: `the request headers are larger than ${this.bounds.header_list_bytes} bytes`,
      refusal: "header_list_bytes",
      accept_encoding: false,
    };
  }

  #onTrailers(
    stream: ServerStream,
    bytes: Uint8Array,
    start: number,
    end: number,
    end_stream: boolean,
  ): void {
    const { fields } = this.decode(bytes, start, end);
    if (stream.remote_ended) return this.violate(stream, ErrorCode.STREAM_CLOSED, "closed_stream");
    if (!end_stream || !areAllowedTrailers(fields)) {
      return this.violate(stream, ErrorCode.PROTOCOL_ERROR, "malformed_request");
    }
    this.onData(stream.id, NO_BYTES, 0, 0, 0, true);
  }

  /** Answers a request no call is made for; it may still send what it has begun to. */
  #refuseHead(
    stream_id: number,
    head: Exclude<RequestHead, { kind: "call" }>,
    end_stream: boolean,
  ): void {
    if (head.kind === "malformed") {
      return this.refuseStream(stream_id, ErrorCode.PROTOCOL_ERROR, "malformed_request");
    }
    const content_length = head.kind === "http" ? head.content_length : undefined;
    if (end_stream && content_length !== undefined && content_length > 0) {
      return this.refuseStream(stream_id, ErrorCode.PROTOCOL_ERROR, "malformed_request");
    }
    this.onRefused(head.refusal);
    // Decoding it was work for nothing.
    if (head.refusal === "header_list_bytes") this.chargeControl();
    const { initial_window_bytes } = this.peer;
    const stream = new RefusedStream(this, stream_id, initial_window_bytes, content_length);
    stream.remote_ended = end_stream;
    this.add(stream);
    if (head.kind === "http") {
      const block = plainHeaders(head.status, head.with_body);
      this.sender.sendHeaders(stream, block, !head.with_body);
      if (head.with_body) this.sender.sendBody(stream, PLAIN_BODY);
      return;
    }
    const error = new GrpcError(head.text, head.code);
    let block = errorTrailers(error, undefined, true, this.#statusLimits());
    if (head.accept_encoding) {
      block = Uint8Array.from([
        ...block,
        ...encodeBlock(["grpc-accept-encoding", ACCEPTED_ENCODINGS]),
      ]);
    }
    this.sender.sendHeaders(stream, block, true);
  }

  /** A whole answer before the whole request: ask the peer to stop (RFC 9113 section 8.1). */
  protected override onAnsweredEarly(stream: ServerStream): void {
    if (stream instanceof ServerCall) this.reset(stream, ErrorCode.NO_ERROR);
  }

  protected override isIdle(stream_id: number): boolean {
    return (stream_id & 1) === 0 || stream_id > this.#last_stream_id;
  }

  protected override lastPeerStreamId(): number {
    return this.#final_stream_id ?? this.#last_stream_id;
  }

  /** Answers, and holds the peer to the pace gRFC A8 asks of clients. */
  override onPing(bytes: Uint8Array, start: number, ack: boolean): void {
    super.onPing(bytes, start, ack);
    if (ack) return;
    const { frames_sent } = this.sender;
    if (this.#pings.isTooMany(performance.now(), frames_sent, this.streams.size > 0)) {
      throw calm("pings", TOO_MANY_PINGS);
    }
  }

  /** A client that goes away may still finish what it began. */
  onGoaway(): void {
    this.chargeControl();
  }

  // What calls need

  sendHeaders(
    call: ServerCall,
    metadata: Metadata | undefined,
    encoding: ResponseEncoding,
  ): void {
    this.sender.sendHeaders(call, responseHeaders(metadata, encoding), false);
  }

  sendOk(call: ServerCall, trailers: Metadata | undefined): void {
    this.sender.sendTrailers(call, okTrailers(trailers));
  }

  sendError(
    call: ServerCall,
    error: GrpcError,
    trailers: Metadata | undefined,
    only: boolean,
  ): void {
    this.sender.sendTrailers(call, errorTrailers(error, trailers, only, this.#statusLimits()));
  }

  /** A status the peer would not read tells it nothing: its limit counts beside ours. */
  #statusLimits(): StatusLimits {
    return {
      status_message_bytes: this.bounds.status_message_bytes,
      header_list_bytes: Math.min(this.bounds.header_list_bytes, this.peer.header_list_bytes),
    };
  }

  hasRoom(bytes: number): boolean {
    return this.sender.pendingBytes + bytes <= this.bounds.connection_pending_bytes &&
      this.#share.counters.pending_bytes + bytes <= this.bounds.server_pending_bytes;
  }

  decompress(compressed: Uint8Array): Uint8Array<ArrayBuffer> | DecompressionProblem {
    this.#decompressor ??= new Decompressor(this.bounds, () => {
      this.fail(calm("decompression", "decompressing messages costs too much"));
    });
    return this.#decompressor.decompress(compressed);
  }

  takeBuffer(bytes: number): boolean {
    const { counters } = this.#share;
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
    this.#share.counters.buffered_bytes -= bytes;
  }

  onCallEnded(call: ServerCall, code: Code): void {
    countEnded(this.#share, call, code, this.peerInfo);
  }

  onHandlerStarted(call: ServerCall): void {
    if (!call.closed || this.#orphans.has(call)) return;
    this.#orphans.add(call);
    this.#share.counters.calls_held++;
    this.account.addCall();
  }

  onHandlerSettled(call: ServerCall): void {
    // Also after the connection has closed: the handler's work counts as long as it lasts.
    if (this.#orphans.delete(call)) this.#releaseCall();
  }

  #releaseCall(): void {
    this.#share.counters.calls_held--;
    this.account.releaseCall();
  }

  onHandlerFailed(method: string, reason: unknown): void {
    this.#share.emit?.({ type: "handler_failed", method, reason });
  }

  override onRefused(refusal: Refusal): void {
    countRefused(this.#share, refusal, this.peerInfo);
  }

  protected override onInternalError(reason: unknown): void {
    this.#share.emit?.({ type: "internal_error", reason });
  }

  protected override mayRead(): Promise<void> | undefined {
    return this.#share.gate?.wait();
  }

  // Ends

  protected override onStreamRemoved(stream: ServerStream): void {
    if (stream.handler_running) this.#orphans.add(stream);
    else if (stream instanceof ServerCall) this.#releaseCall();
    if (this.#draining === "final" && this.streams.size === 0) this.#endDrained();
  }

  override closeIdle(): void {
    this.drain("the connection was idle");
  }

  /**
   * Ends gracefully (RFC 9113 section 6.8): first a GOAWAY that refuses nothing, so that calls on
   * their way still count; when the peer has seen it, the real one. Calls then run to their end.
   */
  drain(text = "the server is shutting down"): void {
    if (this.phase === "handshake") return this.#leaveUnmet(text);
    if (this.phase !== "open" || this.#draining !== "no") return;
    this.#draining = "announced";
    this.#drain_text = text;
    this.sendGoaway(MAX_31_BIT, ErrorCode.NO_ERROR, text);
    const finish = () => this.#finishDraining(); // Or when the watchdog loses patience: sweep.
    this.ping().then(finish);
  }

  /** Calls may be on their way behind the peer's preface: it hears that none was begun. */
  #leaveUnmet(text: string): void {
    this.sendGoaway(0, ErrorCode.NO_ERROR, text);
    this.closeGently(text);
  }

  /** Ends at once: open calls are aborted, then the socket is closed. */
  abort(text = "the server stopped"): void {
    if (this.phase === "handshake") return this.terminate(text);
    if (this.phase !== "open") return;
    this.sendGoaway(this.lastPeerStreamId(), ErrorCode.NO_ERROR, text);
    this.closeGently(text);
  }

  #finishDraining(): void {
    if (this.phase !== "open" || this.#draining === "final") return;
    this.#draining = "final";
    this.#final_stream_id = this.#last_stream_id;
    this.sendGoaway(this.#final_stream_id, ErrorCode.NO_ERROR, this.#drain_text);
    if (this.streams.size === 0) this.#endDrained();
  }

  /** After the frames of the last stream, which are being written right now. */
  #endDrained(): void {
    queueMicrotask(() => this.closeGently(this.#drain_text));
  }

  override sweep(now_ms: number): void {
    super.sweep(now_ms);
    if (this.#draining === "announced") {
      this.#announced_ms ??= now_ms;
      if (now_ms - this.#announced_ms >= this.bounds.linger_timeout_ms) this.#finishDraining();
    }
    if (this.phase === "open") this.#endAged(now_ms);
    for (const stream of this.streams.values()) {
      if (stream.awaitingRequest) stream.checkRequestTimeout(now_ms);
    }
  }

  #endAged(now_ms: number): void {
    const due = this.#age.due(now_ms);
    if (due === "nothing") return;
    this.onRefused(due === "drain" ? "connection_age" : "connection_age_grace");
    if (due === "drain") this.drain("max_age");
    else this.abort("max_age");
  }

  protected override onClosed(text: string): void {
    this.#share.emit?.({ type: "connection_closed", peer: this.peerInfo, text });
    this.#onGone(this);
  }
}
