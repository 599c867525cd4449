/**
 * The client's side of one connection: opens streams for calls, and hears GOAWAY.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import type { DecodedBlock } from "../hpack/decoder.ts";
import { type DecompressionProblem, Decompressor } from "../compression.ts";
import { calm } from "../http2/endpoint.ts";
import { ConnectionError } from "../http2/connection_error.ts";
import { Http2Connection } from "../http2/connection.ts";
import { areAllowedTrailers } from "../http2/field_rules.ts";
import { ErrorCode, errorCodeName, MAX_31_BIT, TOO_MANY_PINGS } from "../http2/frames.ts";
import { HeadCache } from "../http2/head_cache.ts";
import type { Transport } from "../http2/transport.ts";
import { type ClientCall, ClientStream } from "./call.ts";
import { fieldOf } from "./status.ts";

/** Debug data of a GOAWAY for pings (gRFC A8). */
const PINGS_REFUSED = new TextEncoder().encode(TOO_MANY_PINGS);

/** What a connection asks and tells its subchannel. */
export interface ConnectionListener {
  /** The server's SETTINGS are there: calls may be opened. */
  onReady(connection: ClientConnection): void;
  /** A stream ended: there may be room for a waiting call. */
  onRoom(connection: ClientConnection): void;
  /** No new calls any more; calls already open may finish. */
  onLeaving(connection: ClientConnection): void;
  /** The server finds our PING too frequent (gRFC A8). */
  onTooManyPings(): void;
  onClosed(connection: ClientConnection, text: string): void;
  /** PING while no call is open, too. */
  readonly permitsPingWithoutCalls: boolean;
}

/** One connection to a server. */
export class ClientConnection extends Http2Connection<ClientStream> {
  readonly #listener: ConnectionListener;
  readonly #blocks: HeadCache<DecodedBlock>;
  /** The server answered a call, or left while it still meant to. */
  was_of_use = false;
  #next_stream_id = 1;
  /** What the last GOAWAY named; a later one may not name more (RFC 9113 section 6.8). */
  #goaway_stream_id = MAX_31_BIT;
  #decompressor: Decompressor | undefined;
  #leaving = false;

  constructor(transport: Transport, bounds: Bounds, listener: ConnectionListener) {
    super("client", transport, bounds);
    this.#listener = listener;
    this.#blocks = new HeadCache(this.decoder);
  }

  /** Whether a call may be opened now. */
  get hasRoom(): boolean {
    return this.phase === "open" && !this.#leaving &&
      this.streams.size < this.peer.concurrent_streams;
  }

  override get mayPing(): boolean {
    return this.streams.size > 0 || this.#listener.permitsPingWithoutCalls;
  }

  /** Opens a stream for a call; only when {@linkcode hasRoom}. */
  open(call: ClientCall, header_block: Uint8Array): void {
    const { initial_window_bytes } = this.peer;
    const stream = new ClientStream(call, initial_window_bytes, this.bounds.stream_window_bytes);
    stream.id = this.#next_stream_id;
    this.#next_stream_id += 2;
    this.add(stream);
    this.sender.sendHeaders(stream, header_block, false);
    call.attach(this, stream);
    // Stream ids are used up (RFC 9113 section 5.1.1): the next call needs a new connection.
    if (this.#next_stream_id > MAX_31_BIT) this.leave();
  }

  override onHeaderBlock(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    end_stream: boolean,
  ): void {
    const { fields, too_large } = this.#decodeCached(bytes, start, end);
    const stream = this.streams.get(stream_id);
    if (stream === undefined) {
      if (!this.isIdle(stream_id)) return this.onLateFrame(stream_id);
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "protocol", "HEADERS on an idle stream");
    }
    if (stream.remote_ended) {
      return this.violate(stream, ErrorCode.STREAM_CLOSED, "closed_stream");
    }
    if (too_large) return this.violate(stream, ErrorCode.CANCEL, "header_list_bytes");
    if (!isResponse(fields, stream.headersSeen, end_stream)) {
      return this.violate(stream, ErrorCode.PROTOCOL_ERROR, "malformed_request");
    }
    if (isInformational(fields)) return this.chargeControl();
    this.was_of_use = true;
    if (end_stream) stream.remote_ended = true;
    stream.onFields(fields, end_stream);
    if (end_stream) this.removeIfDone(stream);
  }

  #decodeCached(bytes: Uint8Array, start: number, end: number): DecodedBlock {
    const cached = this.#blocks.get(bytes, start, end);
    if (cached !== undefined) return cached;
    const generation = this.decoder.generation;
    const decoded = this.decode(bytes, start, end);
    if (generation === this.decoder.generation) this.#blocks.put(bytes, start, end, decoded);
    return decoded;
  }

  /** Decompresses a message of a response, at the server's cost. */
  decompress(compressed: Uint8Array): Uint8Array | DecompressionProblem {
    this.#decompressor ??= new Decompressor(this.bounds, () => {
      this.fail(calm("decompression", "decompressing messages costs too much"));
    });
    return this.#decompressor.decompress(compressed);
  }

  /** The server goes away: calls it never began move on, the others finish here. */
  override onGoaway(
    last_stream_id: number,
    code: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.chargeControl();
    if (last_stream_id > this.#goaway_stream_id) {
      throw new ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        "protocol",
        "GOAWAY names a later stream than the one before it",
      );
    }
    this.#goaway_stream_id = last_stream_id;
    if (code === ErrorCode.ENHANCE_YOUR_CALM && isTooManyPings(bytes.subarray(start, end))) {
      this.#listener.onTooManyPings();
    }
    const text = `the server is going away: ${errorCodeName(code)}`;
    const streams = this.streams.values();
    if (streams.some((stream) => stream.id <= last_stream_id)) this.was_of_use = true;
    this.leave();
    for (const stream of streams) {
      if (stream.id <= last_stream_id || stream.closed) continue;
      this.drop(stream);
      stream.call.onNotBegun(text);
    }
    this.#closeWhenEmpty();
  }

  /** Takes no new calls; closes when the open ones have ended. */
  leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#listener.onLeaving(this);
    this.#closeWhenEmpty();
  }

  /** Ends every call and closes. */
  shutdown(text: string): void {
    this.#leaving = true;
    if (this.phase === "open") {
      this.sendGoaway(0, ErrorCode.NO_ERROR, "");
      this.closeGently(text);
    } else if (this.phase === "handshake") {
      this.terminate(text);
    }
  }

  override closeIdle(): void {
    this.leave();
  }

  override onRefused(_refusal: Refusal): void {}

  protected override isIdle(stream_id: number): boolean {
    return (stream_id & 1) === 0 || stream_id >= this.#next_stream_id;
  }

  protected override lastPeerStreamId(): number {
    return 0;
  }

  protected override onEstablished(): void {
    this.#listener.onReady(this);
  }

  protected override onPeerSettings(): void {
    if (this.phase === "open") this.#listener.onRoom(this);
  }

  protected override onStreamRemoved(_stream: ClientStream): void {
    this.#listener.onRoom(this);
    this.#closeWhenEmpty();
  }

  protected override onClosed(text: string): void {
    this.#leaving = true;
    this.#listener.onClosed(this, text);
  }

  #closeWhenEmpty(): void {
    if (!this.#leaving || this.streams.size > 0 || this.phase !== "open") return;
    // After the frames that are being written or handled right now.
    queueMicrotask(() => {
      if (this.streams.size > 0) return;
      this.closeGently("the connection is no longer needed");
    });
  }
}

function isTooManyPings(debug: Uint8Array): boolean {
  return debug.length === PINGS_REFUSED.length &&
    debug.every((byte, index) => byte === PINGS_REFUSED[index]);
}

function isInformational(fields: readonly string[]): boolean {
  return fieldOf(fields, ":status")?.startsWith("1") === true;
}

/** Whether a header list may stand where it does (RFC 9113 section 8.1). */
function isResponse(fields: readonly string[], trailers: boolean, end_stream: boolean): boolean {
  if (trailers) return end_stream && areAllowedTrailers(fields);
  // One of no known class counts as a server's error (RFC 9110 section 15), which it is anyway.
  if (fields[0] !== ":status" || !/^[1-9][0-9]{2}$/.test(fields[1] ?? "")) return false;
  if (end_stream && isInformational(fields)) return false;
  // HTTP/2 has no upgrades (RFC 9113 section 8.6).
  if (fields[1] === "101") return false;
  return areAllowedTrailers(fields.slice(2));
}
