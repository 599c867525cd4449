/**
 * The sending half of a connection: header blocks, messages, and the flow control that holds
 * messages back (RFC 9113 sections 5.2 and 6.9).
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import { EMPTY_TABLE_UPDATE } from "../hpack/encoder.ts";
import { ConnectionError } from "./connection_error.ts";
import {
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  INITIAL_WINDOW_BYTES,
  MAX_31_BIT,
  putFrameHeader,
  putUint32,
} from "./frames.ts";
import type { Output } from "./output.ts";
import type { RateBound } from "./rate_bound.ts";
import type { PeerSettings } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";

/** Bytes before each message: compressed flag and length (gRPC, "Length-Prefixed-Message"). */
export const MESSAGE_PREFIX_BYTES = 5;

/** Bytes of messages that wait for the peers of several connections. */
export interface PendingTotal {
  pending_bytes: number;
}

/** Writes frames in turn for every stream that has something to send and may. */
export class Sender {
  /** Bytes the peer still lets us send on the connection. */
  window = INITIAL_WINDOW_BYTES;

  /** HEADERS and DATA sent: what a peer's PING may be about. Wraps around. */
  frames_sent = 0;

  readonly #output: Output;
  readonly #peer: PeerSettings;
  readonly #bounds: Bounds;
  readonly #window_updates: RateBound;
  readonly #onEnded: (stream: Http2Stream) => void;
  /** Streams with a pending message and an open window, in the order of their turns. */
  readonly #ready = new Set<Http2Stream>();
  #pending_bytes = 0;
  readonly #total: PendingTotal;
  #empty_table_announced = false;
  #empty_table_due = false;

  /**
   * @param onEnded called when END_STREAM of a stream has been written
   * @param total what several connections count together
   */
  constructor(
    output: Output,
    peer: PeerSettings,
    bounds: Bounds,
    window_updates: RateBound,
    onEnded: (stream: Http2Stream) => void,
    total: PendingTotal = { pending_bytes: 0 },
  ) {
    this.#total = total;
    this.#output = output;
    this.#peer = peer;
    this.#bounds = bounds;
    this.#window_updates = window_updates;
    this.#onEnded = onEnded;
  }

  /** Sends a header block; with `end_stream` it is the last of the stream. */
  sendHeaders(stream: Http2Stream, block: Uint8Array, end_stream: boolean): void {
    const flags = end_stream ? Flag.END_STREAM : 0;
    this.frames_sent = (this.frames_sent + 1) | 0;
    if (this.#empty_table_due || block.length > this.#peer.frame_bytes) {
      this.#sendLongBlock(stream.id, block, flags);
    } else {
      this.#output.frame(FrameType.HEADERS, flags | Flag.END_HEADERS, stream.id, block);
    }
    if (end_stream) this.#ended(stream);
  }

  /** Bytes of messages that wait for windows or the socket. */
  get pendingBytes(): number {
    return this.#pending_bytes;
  }

  /**
   * Sends one message with its prefix, now or as window and socket allow. Its bytes must not change
   * any more: those that wait are not copied.
   *
   * @param compressed what the flag of the prefix says
   * @returns whether it left at once; otherwise `stream.onSent` is called when it has
   */
  sendMessage(
    stream: Http2Stream,
    message: Uint8Array,
    end_stream: boolean,
    compressed = false,
  ): boolean {
    const total = message.length + MESSAGE_PREFIX_BYTES;
    if (
      total <= this.window && total <= stream.send_window && total <= this.#peer.frame_bytes &&
      this.#output.waiting_bytes < this.#bounds.output_high_water_bytes
    ) {
      this.window -= total;
      stream.send_window -= total;
      stream.sent_bytes += total;
      this.frames_sent = (this.frames_sent + 1) | 0;
      this.#window_updates.earn(2);
      const offset = this.#output.reserve(FRAME_HEADER_BYTES + total);
      const bytes = this.#output.bytes;
      const flags = end_stream ? Flag.END_STREAM : 0;
      putFrameHeader(bytes, offset, total, FrameType.DATA, flags, stream.id);
      bytes[offset + FRAME_HEADER_BYTES] = compressed ? 1 : 0;
      putUint32(bytes, offset + FRAME_HEADER_BYTES + 1, message.length);
      bytes.set(message, offset + FRAME_HEADER_BYTES + MESSAGE_PREFIX_BYTES);
      if (end_stream) this.#ended(stream);
      return true;
    }
    stream.pending_compressed = compressed;
    this.#wait(stream, message, -MESSAGE_PREFIX_BYTES);
    if (end_stream) stream.after_pending = "end_stream";
    this.#ready.add(stream);
    this.pump();
    return stream.pending === undefined;
  }

  /** Sends a body that is no gRPC message and ends the stream, as window and socket allow. */
  sendBody(stream: Http2Stream, body: Uint8Array): void {
    this.#wait(stream, body, 0);
    stream.after_pending = "end_stream";
    this.#ready.add(stream);
    this.pump();
  }

  /** Sends trailers once the pending message, if any, has left. */
  sendTrailers(stream: Http2Stream, block: Uint8Array): void {
    if (stream.pending === undefined) this.sendHeaders(stream, block, true);
    else stream.after_pending = block;
  }

  /** Ends our direction without trailers, once the pending message, if any, has left. */
  sendEnd(stream: Http2Stream): void {
    if (stream.pending !== undefined) {
      stream.after_pending = "end_stream";
      return;
    }
    this.#output.frame(FrameType.DATA, Flag.END_STREAM, stream.id, new Uint8Array(0));
    this.#ended(stream);
  }

  /** Drops what a stream still had to send. */
  forget(stream: Http2Stream): void {
    this.#ready.delete(stream);
    this.#dropPending(stream);
    stream.after_pending = "nothing";
  }

  /** Writes pending messages, one frame a stream in turn, while window and socket allow. */
  pump(): void {
    while (
      this.#ready.size > 0 && this.window > 0 &&
      this.#output.waiting_bytes < this.#bounds.output_high_water_bytes
    ) {
      for (const stream of this.#ready) {
        this.#ready.delete(stream);
        this.#sendChunk(stream);
        break;
      }
    }
  }

  /** The peer opened the connection's window. */
  openWindow(increment: number): void {
    if (this.window + increment > MAX_31_BIT) {
      throw new ConnectionError(
        ErrorCode.FLOW_CONTROL_ERROR,
        "flow_control",
        "the connection window passes 2^31-1",
      );
    }
    this.window += increment;
    this.pump();
  }

  /** The peer opened a stream's window; false when it passed 2^31-1. */
  openStreamWindow(stream: Http2Stream, increment: number): boolean {
    if (stream.send_window + increment > MAX_31_BIT) return false;
    stream.send_window += increment;
    this.#wake(stream);
    this.pump();
    return true;
  }

  /**
   * The peer changed its initial window: every open stream's window moves with it. What may now be
   * sent waits for {@linkcode pump}.
   */
  shiftStreamWindows(streams: Iterable<Http2Stream>, delta: number): void {
    for (const stream of streams) {
      if (stream.send_window + delta > MAX_31_BIT) {
        throw new ConnectionError(
          ErrorCode.FLOW_CONTROL_ERROR,
          "flow_control",
          "SETTINGS_INITIAL_WINDOW_SIZE makes a stream window pass 2^31-1",
        );
      }
      stream.send_window += delta;
      this.#wake(stream);
    }
  }

  /**
   * The peer shrank its header table below the size an encoder starts with: the next block says
   * that ours is empty (RFC 7541 section 4.2). Once is enough, empty stays within every limit.
   */
  shrinkTable(): void {
    if (this.#empty_table_announced) return;
    this.#empty_table_announced = true;
    this.#empty_table_due = true;
  }

  #wait(stream: Http2Stream, bytes: Uint8Array, offset: number): void {
    stream.pending = bytes;
    stream.pending_offset = offset;
    this.#pending_bytes += bytes.length;
    this.#total.pending_bytes += bytes.length;
  }

  #wake(stream: Http2Stream): void {
    if (stream.pending !== undefined && stream.send_window > 0) this.#ready.add(stream);
  }

  #sendChunk(stream: Http2Stream): void {
    const pending = stream.pending;
    if (pending === undefined) return;
    const count = Math.min(
      pending.length - stream.pending_offset,
      this.window,
      stream.send_window,
      this.#peer.frame_bytes,
      this.#bounds.output_high_water_bytes,
    );
    if (count <= 0) return; // The stream's window is closed: an update puts it back in turn.
    const end = stream.pending_offset + count;
    const last = end === pending.length;
    const end_stream = last && stream.after_pending === "end_stream";
    const flags = end_stream ? Flag.END_STREAM : 0;
    this.window -= count;
    stream.send_window -= count;
    stream.sent_bytes += count;
    this.frames_sent = (this.frames_sent + 1) | 0;
    if (last || count >= 1024) this.#window_updates.earn(2);
    this.#putData(stream, flags, pending, end);
    if (!last) {
      stream.pending_offset = end;
      if (stream.send_window > 0) this.#ready.add(stream);
      return;
    }
    this.#dropPending(stream);
    stream.waits_ended++;
    const after = stream.after_pending;
    stream.after_pending = "nothing";
    if (after instanceof Uint8Array) this.sendHeaders(stream, after, true);
    else if (end_stream) this.#ended(stream);
    stream.onSent();
  }

  /** Appends a DATA frame; positions below zero are those of the prefix. */
  #putData(stream: Http2Stream, flags: number, message: Uint8Array, to: number): void {
    const from = stream.pending_offset;
    const count = to - from;
    const offset = this.#output.reserve(FRAME_HEADER_BYTES + count);
    const { bytes } = this.#output;
    putFrameHeader(bytes, offset, count, FrameType.DATA, flags, stream.id);
    const origin = offset + FRAME_HEADER_BYTES - from;
    for (let position = from; position < Math.min(to, 0); position++) {
      const shift = -8 * (position + 1); // The last four of five are the length, the first the flag.
      const flag = stream.pending_compressed ? 1 : 0;
      bytes[origin + position] = shift > 24 ? flag : message.length >>> shift;
    }
    if (to > 0) bytes.set(message.subarray(Math.max(from, 0), to), origin + Math.max(from, 0));
  }

  #dropPending(stream: Http2Stream): void {
    if (stream.pending === undefined) return;
    this.#pending_bytes -= stream.pending.length;
    this.#total.pending_bytes -= stream.pending.length;
    stream.pending = undefined;
  }

  #sendLongBlock(stream_id: number, block: Uint8Array, flags: number): void {
    let rest = block;
    if (this.#empty_table_due) {
      this.#empty_table_due = false;
      rest = new Uint8Array(block.length + 1);
      rest[0] = EMPTY_TABLE_UPDATE;
      rest.set(block, 1);
    }
    let type: number = FrameType.HEADERS;
    for (;;) {
      const part = rest.subarray(0, this.#peer.frame_bytes);
      rest = rest.subarray(part.length);
      const end = rest.length === 0;
      this.#output.frame(type, flags | (end ? Flag.END_HEADERS : 0), stream_id, part);
      if (end) return;
      type = FrameType.CONTINUATION;
      flags = 0;
    }
  }

  #ended(stream: Http2Stream): void {
    stream.local_ended = true;
    this.#onEnded(stream);
  }
}
