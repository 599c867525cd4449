/**
 * The streams of one HTTP/2 connection, either side: the stream table, both directions' flow
 * control, and what each side may still say on a stream (RFC 9113 sections 5 and 6.9).
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { type DecodedBlock, HpackDecoder, HpackError } from "../hpack/decoder.ts";
import { MessageSlab } from "../message_slab.ts";
import { ConnectionError } from "./connection_error.ts";
import { calm, Http2Endpoint, type Role } from "./endpoint.ts";
import { ErrorCode, errorCodeName, FrameType } from "./frames.ts";
import { RateBound } from "./rate_bound.ts";
import { type PendingTotal, Sender } from "./sender.ts";
import { applySettings } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";
import { StreamTable } from "./stream_table.ts";
import type { Transport } from "./transport.ts";
import { Watchdog } from "./watchdog.ts";

/** Streams we reset lately, whose late frames are not the peer's fault. */
const RECENT_RESETS_MAX = 256;

/** The side-independent part; see `server/connection.ts` and `client/connection.ts`. */
export abstract class Http2Connection<S extends Http2Stream> extends Http2Endpoint {
  readonly streams: StreamTable<S> = new StreamTable();
  readonly sender: Sender;
  /** Memory for received messages. */
  readonly slab: MessageSlab = new MessageSlab();
  /** Streams ever opened. */
  streamsOpened = 0;

  protected readonly decoder: HpackDecoder;
  readonly #window_updates: RateBound;
  readonly #watchdog: Watchdog<S>;
  readonly #recent_resets = new Set<number>();
  #receive_window: number;
  #receive_unacknowledged = 0;

  /** @param total what this connection counts together with others */
  constructor(role: Role, transport: Transport, bounds: Bounds, total?: PendingTotal) {
    super(role, transport, bounds);
    this.decoder = new HpackDecoder(bounds.header_table_bytes, false);
    this.#window_updates = new RateBound(
      bounds.window_update_burst,
      bounds.window_updates_per_second,
      () => performance.now(),
    );
    this.sender = new Sender(
      this.output,
      this.peer,
      bounds,
      this.#window_updates,
      (stream) => this.#onLocalEnd(stream as S),
      total,
    );
    this.#receive_window = bounds.connection_window_bytes;
    this.#watchdog = new Watchdog(this, performance.now());
  }

  /** Whether a stream id was never opened by either side. */
  protected abstract isIdle(stream_id: number): boolean;
  /** A stream left the table. */
  protected onStreamRemoved(_stream: S): void {}

  /** Whether keepalive may send a PING now; a server always may. */
  get mayPing(): boolean {
    return true;
  }

  /** Looks at every timeout; called at a steady pace by the owner. */
  sweep(now_ms: number): void {
    this.output.trim();
    try {
      this.#watchdog.sweep(now_ms);
    } catch (reason) {
      this.fail(this.errorOf(reason));
    }
  }

  override onSettings(bytes: Uint8Array, start: number, end: number): void {
    super.onSettings(bytes, start, end);
    // After the ACK, so that the peer knows by which settings it is sent to.
    this.sender.pump();
  }

  override onSettingsAck(): void {
    super.onSettingsAck();
    this.decoder.onLimitAcknowledged();
  }

  protected override onOutputDrained(): void {
    this.sender.pump();
  }

  protected override applyPeerSettings(bytes: Uint8Array, start: number, end: number): void {
    const window_before = this.peer.initial_window_bytes;
    applySettings(this.role, this.peer, bytes, start, end);
    if (this.peer.header_table_bytes < 4096) this.sender.shrinkTable();
    const delta = this.peer.initial_window_bytes - window_before;
    if (delta !== 0) this.sender.shiftStreamWindows(this.streams.values(), delta);
  }

  onWindowUpdate(stream_id: number, increment: number): void {
    if (!this.#window_updates.take()) throw calm("window_updates", "too many WINDOW_UPDATE frames");
    if (stream_id === 0) return this.sender.openWindow(increment);
    const stream = this.streams.get(stream_id);
    if (stream === undefined) return this.#checkNotIdle(stream_id);
    if (!this.sender.openStreamWindow(stream, increment)) {
      this.violate(stream, ErrorCode.FLOW_CONTROL_ERROR, "flow_control");
    }
  }

  // Frames of streams

  onData(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    flow_bytes: number,
    end_stream: boolean,
  ): void {
    // Counted whether or not the stream is still there (RFC 9113 section 6.9).
    this.#receive_window -= flow_bytes;
    if (this.#receive_window < 0) {
      throw new ConnectionError(
        ErrorCode.FLOW_CONTROL_ERROR,
        "flow_control",
        "DATA passes the connection window",
      );
    }
    this.#receive_unacknowledged += flow_bytes;
    if (this.#receive_unacknowledged * 2 >= this.bounds.connection_window_bytes) {
      this.output.frameOfUint32(FrameType.WINDOW_UPDATE, 0, this.#receive_unacknowledged);
      this.#receive_window += this.#receive_unacknowledged;
      this.#receive_unacknowledged = 0;
    }
    if (start === end && !end_stream) this.chargeControl();
    const stream = this.streams.get(stream_id);
    if (stream === undefined) return this.onLateFrame(stream_id);
    if (stream.remote_ended) {
      return this.violate(stream, ErrorCode.STREAM_CLOSED, "closed_stream");
    }
    stream.receive_window -= flow_bytes;
    if (stream.receive_window < 0) {
      return this.violate(stream, ErrorCode.FLOW_CONTROL_ERROR, "flow_control");
    }
    const padding = flow_bytes - (end - start);
    if (padding > 0) this.giveCredit(stream, padding);
    if (end_stream) stream.remote_ended = true;
    stream.onData(bytes, start, end, end_stream);
    if (end_stream) this.removeIfDone(stream);
  }

  onReset(stream_id: number, code: number): void {
    const stream = this.streams.get(stream_id);
    if (stream === undefined) {
      this.#checkNotIdle(stream_id);
      this.chargeReset();
      return;
    }
    this.#remove(stream);
    stream.onAborted("peer", code, `the peer reset the stream: ${errorCodeName(code)}`);
    this.chargeReset();
  }

  onStreamError(stream_id: number, code: ErrorCode): void {
    const stream = this.streams.get(stream_id);
    if (stream !== undefined) return this.violate(stream, code, "protocol");
    // An idle stream cannot be reset (RFC 9113 section 6.4): the error is the connection's.
    if (this.isIdle(stream_id)) {
      throw new ConnectionError(code, "protocol", "a broken frame on an idle stream");
    }
    this.refuseStream(stream_id, code, "protocol");
  }

  // What calls and roles use

  /** Decodes a header block; a broken one ends the connection (RFC 9113 section 4.3). */
  protected decode(bytes: Uint8Array, start: number, end: number): DecodedBlock {
    try {
      return this.decoder.decode(bytes, start, end, this.bounds.header_list_bytes);
    } catch (reason) {
      if (!(reason instanceof HpackError)) throw reason;
      throw new ConnectionError(
        ErrorCode.COMPRESSION_ERROR,
        "hpack",
        "a header block is not HPACK",
      );
    }
  }

  /** Puts a stream into the table. */
  protected add(stream: S): void {
    this.streams.add(stream);
    this.streamsOpened++;
  }

  /** Takes a stream whose two directions have ended out of the table. */
  protected removeIfDone(stream: S): void {
    if (stream.local_ended && !stream.closed) this.#remove(stream);
  }

  /** Takes a stream out of the table without a word to the peer or to the stream. */
  protected drop(stream: S): void {
    this.#remove(stream);
  }

  /** Gives the peer back window for bytes that were used up. */
  giveCredit(stream: S, bytes: number): void {
    stream.receive_unacknowledged += bytes;
    if (stream.remote_ended || stream.closed) return;
    if (stream.receive_unacknowledged * 2 < this.bounds.stream_window_bytes) return;
    const increment = stream.receive_unacknowledged;
    this.output.frameOfUint32(FrameType.WINDOW_UPDATE, stream.id, increment);
    stream.receive_window += increment;
    stream.receive_unacknowledged = 0;
  }

  /** Resets a stream of ours and forgets it; its `onAborted` is not called. */
  reset(stream: S, code: ErrorCode): void {
    if (stream.closed) return;
    this.#sendReset(stream.id, code);
    this.#remove(stream);
  }

  /** Resets a stream because its peer broke a rule or stalled, and tells the stream. */
  violate(stream: S, code: ErrorCode, refusal: Refusal): void {
    if (stream.closed) return;
    this.onRefused(refusal);
    this.reset(stream, code);
    const origin = refusal === "window_stall_timeout" ? "stalled" : "violation";
    stream.onAborted(origin, code, `the stream was reset: ${errorCodeName(code)}`);
    this.chargeReset();
  }

  /** Resets a stream that is not in the table. */
  refuseStream(stream_id: number, code: ErrorCode, refusal: Refusal): void {
    this.onRefused(refusal);
    this.#sendReset(stream_id, code);
    this.chargeReset();
  }

  /** END_STREAM of ours has left before the peer's came. */
  protected onAnsweredEarly(_stream: S): void {}

  #onLocalEnd(stream: S): void {
    if (stream.remote_ended) this.#remove(stream);
    else this.onAnsweredEarly(stream);
  }

  #remove(stream: S): void {
    if (stream.closed) return;
    stream.closed = true;
    this.streams.delete(stream.id);
    this.sender.forget(stream);
    this.onStreamRemoved(stream);
  }

  #sendReset(stream_id: number, code: ErrorCode): void {
    this.output.frameOfUint32(FrameType.RST_STREAM, stream_id, code);
    this.#recent_resets.add(stream_id);
    if (this.#recent_resets.size <= RECENT_RESETS_MAX) return;
    for (const oldest of this.#recent_resets) {
      this.#recent_resets.delete(oldest);
      return;
    }
  }

  /** Whether we reset this stream lately, so that late frames of it are to be expected. */
  protected wasReset(stream_id: number): boolean {
    return this.#recent_resets.has(stream_id);
  }

  /** A frame on a stream that is not in the table. */
  protected onLateFrame(stream_id: number): void {
    this.#checkNotIdle(stream_id);
    if (this.wasReset(stream_id)) return;
    this.refuseStream(stream_id, ErrorCode.STREAM_CLOSED, "closed_stream");
  }

  #checkNotIdle(stream_id: number): void {
    if (!this.isIdle(stream_id)) return;
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "protocol", "a frame on an idle stream");
  }

  protected override abortStreams(text: string): void {
    for (const stream of this.streams.values()) {
      this.#remove(stream);
      stream.onAborted("connection", ErrorCode.NO_ERROR, text);
    }
  }
}
