/**
 * Cuts a byte stream into HTTP/2 frames and checks what can be checked without knowing any stream
 * (RFC 9113 sections 4 and 6): sizes, stream ids, padding, and that header blocks come unbroken.
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import { ConnectionError } from "./connection_error.ts";
import {
  CLIENT_PREFACE,
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  getUint31,
  getUint32,
} from "./frames.ts";

/**
 * Receives checked frames in order. Byte ranges are valid only during the call. Any method may
 * throw ConnectionError.
 */
export interface FrameSink {
  /** @param flow_bytes what the frame counts for flow control: data and padding */
  onData(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    flow_bytes: number,
    end_stream: boolean,
  ): void;
  /** One whole header block, CONTINUATION frames joined. */
  onHeaderBlock(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    end_stream: boolean,
  ): void;
  onReset(stream_id: number, code: number): void;
  onSettings(bytes: Uint8Array, start: number, end: number): void;
  onSettingsAck(): void;
  onPing(bytes: Uint8Array, start: number, ack: boolean): void;
  /** `bytes[start, end)` is the debug data, valid during the call. */
  onGoaway(
    last_stream_id: number,
    code: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void;
  onWindowUpdate(stream_id: number, increment: number): void;
  /** PRIORITY and unknown frames: legal, without effect, not free. */
  onIgnored(): void;
  /** An error that RFC 9113 confines to one stream. */
  onStreamError(stream_id: number, code: ErrorCode): void;
}

function protocolError(text: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, "protocol", text);
}

function sizeError(text: string): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "frame_bytes", text);
}

/** One direction of one connection; keeps only an unfinished header block between calls. */
export class FrameReader {
  /** Frames seen so far; stands still while a peer dawdles inside one. */
  frames = 0;

  readonly #sink: FrameSink;
  readonly #bounds: Bounds;
  #preface_expected: boolean;
  #block_stream_id = 0;
  #block: Uint8Array<ArrayBuffer> | undefined;
  #block_bytes = 0;
  #block_ends_stream = false;
  #block_depends_on_itself = false;
  #continuations = 0;

  /** @param preface whether the client preface comes first: true on a server */
  constructor(sink: FrameSink, bounds: Bounds, preface: boolean) {
    this.#sink = sink;
    this.#bounds = bounds;
    this.#preface_expected = preface;
  }

  /** Whether a header block has begun and not ended. */
  get inHeaderBlock(): boolean {
    return this.#block_stream_id !== 0;
  }

  /**
   * Handles every whole frame in `bytes[0, filled)`.
   *
   * @returns the bytes used; the caller presents the rest again with more behind it
   * @throws ConnectionError
   */
  read(bytes: Uint8Array, filled: number): number {
    let offset = 0;
    if (this.#preface_expected) {
      const length = Math.min(filled, CLIENT_PREFACE.length);
      for (let index = 0; index < length; index++) {
        if (bytes[index] !== CLIENT_PREFACE[index]) throw protocolError("not an HTTP/2 preface");
      }
      if (length < CLIENT_PREFACE.length) return 0;
      this.#preface_expected = false;
      offset = length;
    }
    while (filled - offset >= FRAME_HEADER_BYTES) {
      const length = ((bytes[offset] ?? 0) << 16) | ((bytes[offset + 1] ?? 0) << 8) |
        (bytes[offset + 2] ?? 0);
      const type = bytes[offset + 3] ?? 0;
      if (this.frames === 0 && type !== FrameType.SETTINGS) {
        throw protocolError("the first frame is not SETTINGS");
      }
      if (length > this.#bounds.frame_bytes) {
        throw sizeError("a frame is larger than SETTINGS_MAX_FRAME_SIZE");
      }
      const start = offset + FRAME_HEADER_BYTES;
      const end = start + length;
      if (end > filled) break;
      this.#frame(type, bytes[offset + 4] ?? 0, getUint31(bytes, offset + 5), bytes, start, end);
      this.frames++;
      offset = end;
    }
    return offset;
  }

  #frame(
    type: number,
    flags: number,
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#block_stream_id !== 0 && type !== FrameType.CONTINUATION) {
      throw protocolError("a header block is broken by another frame");
    }
    switch (type) {
      case FrameType.DATA:
        return this.#data(flags, stream_id, bytes, start, end);
      case FrameType.HEADERS:
        return this.#headers(flags, stream_id, bytes, start, end);
      case FrameType.CONTINUATION:
        return this.#continuation(flags, stream_id, bytes, start, end);
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(stream_id, bytes, start, end);
      case FrameType.SETTINGS:
        return this.#settings(flags, stream_id, bytes, start, end);
      case FrameType.PING:
        if (stream_id !== 0) throw protocolError("PING on a stream");
        if (end - start !== 8) throw sizeError("PING is not eight bytes");
        return this.#sink.onPing(bytes, start, (flags & Flag.ACK) !== 0);
      case FrameType.RST_STREAM:
        if (stream_id === 0) throw protocolError("RST_STREAM on stream 0");
        if (end - start !== 4) throw sizeError("RST_STREAM is not four bytes");
        return this.#sink.onReset(stream_id, getUint32(bytes, start));
      case FrameType.GOAWAY:
        if (stream_id !== 0) throw protocolError("GOAWAY on a stream");
        if (end - start < 8) throw sizeError("GOAWAY is shorter than eight bytes");
        return this.#sink.onGoaway(
          getUint31(bytes, start),
          getUint32(bytes, start + 4),
          bytes,
          start + 8,
          end,
        );
      case FrameType.PRIORITY:
        return this.#priority(stream_id, bytes, start, end);
      case FrameType.PUSH_PROMISE:
        throw protocolError("PUSH_PROMISE, which is never asked for");
      default:
        return this.#sink.onIgnored();
    }
  }

  #data(flags: number, stream_id: number, bytes: Uint8Array, start: number, end: number): void {
    if (stream_id === 0) throw protocolError("DATA on stream 0");
    const flow_bytes = end - start;
    if (flags & Flag.PADDED) {
      if (flow_bytes === 0) throw sizeError("padded DATA without a pad length");
      const padding = bytes[start] ?? 0;
      start += 1;
      end -= padding;
      if (end < start) throw protocolError("padding is longer than its DATA frame");
    }
    const end_stream = (flags & Flag.END_STREAM) !== 0;
    this.#sink.onData(stream_id, bytes, start, end, flow_bytes, end_stream);
  }

  #headers(flags: number, stream_id: number, bytes: Uint8Array, start: number, end: number): void {
    if (stream_id === 0) throw protocolError("HEADERS on stream 0");
    let padding = 0;
    if (flags & Flag.PADDED) {
      if (end === start) throw sizeError("padded HEADERS without a pad length");
      padding = bytes[start] ?? 0;
      start += 1;
    }
    let depends_on_itself = false;
    if (flags & Flag.PRIORITY) {
      if (end - start < 5) throw sizeError("HEADERS is too short for its priority");
      depends_on_itself = getUint31(bytes, start) === stream_id;
      start += 5;
    }
    end -= padding;
    if (end < start) throw protocolError("padding is longer than its HEADERS frame");
    const end_stream = (flags & Flag.END_STREAM) !== 0;
    if (flags & Flag.END_HEADERS) {
      this.#deliver(stream_id, bytes, start, end, end_stream, depends_on_itself);
      return;
    }
    this.#block_stream_id = stream_id;
    this.#block_ends_stream = end_stream;
    this.#block_depends_on_itself = depends_on_itself;
    this.#block_bytes = 0;
    this.#continuations = 0;
    this.#collect(bytes, start, end);
  }

  #continuation(
    flags: number,
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#block_stream_id === 0 || stream_id !== this.#block_stream_id) {
      throw protocolError("CONTINUATION without its HEADERS");
    }
    if (++this.#continuations > this.#bounds.continuation_frames) {
      throw new ConnectionError(
        ErrorCode.ENHANCE_YOUR_CALM,
        "continuation_frames",
        "too many CONTINUATION frames",
      );
    }
    this.#collect(bytes, start, end);
    if ((flags & Flag.END_HEADERS) === 0) return;
    const block = this.#block ?? new Uint8Array(0);
    this.#block_stream_id = 0;
    this.#block = undefined;
    this.#deliver(
      stream_id,
      block,
      0,
      this.#block_bytes,
      this.#block_ends_stream,
      this.#block_depends_on_itself,
    );
  }

  #collect(bytes: Uint8Array, start: number, end: number): void {
    const total = this.#block_bytes + end - start;
    if (total > this.#bounds.header_block_bytes) throw blockTooLarge();
    this.#block ??= new Uint8Array(this.#bounds.header_block_bytes);
    this.#block.set(bytes.subarray(start, end), this.#block_bytes);
    this.#block_bytes = total;
  }

  #deliver(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    end_stream: boolean,
    depends_on_itself: boolean,
  ): void {
    if (end - start > this.#bounds.header_block_bytes) throw blockTooLarge();
    this.#sink.onHeaderBlock(stream_id, bytes, start, end, end_stream);
    // After the block was decoded: the compression state must stay in step (RFC 9113 section 4.3).
    if (depends_on_itself) this.#sink.onStreamError(stream_id, ErrorCode.PROTOCOL_ERROR);
  }

  #settings(flags: number, stream_id: number, bytes: Uint8Array, start: number, end: number): void {
    if (stream_id !== 0) throw protocolError("SETTINGS on a stream");
    if ((flags & Flag.ACK) === 0) return this.#sink.onSettings(bytes, start, end);
    if (end !== start) throw sizeError("SETTINGS ACK with a payload");
    if (this.frames === 0) throw protocolError("the first frame is not SETTINGS");
    this.#sink.onSettingsAck();
  }

  #windowUpdate(stream_id: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) throw sizeError("WINDOW_UPDATE is not four bytes");
    const increment = getUint31(bytes, start);
    if (increment > 0) return this.#sink.onWindowUpdate(stream_id, increment);
    if (stream_id === 0) throw protocolError("WINDOW_UPDATE by zero");
    this.#sink.onStreamError(stream_id, ErrorCode.PROTOCOL_ERROR);
  }

  #priority(stream_id: number, bytes: Uint8Array, start: number, end: number): void {
    if (stream_id === 0) throw protocolError("PRIORITY on stream 0");
    this.#sink.onIgnored();
    if (end - start !== 5) {
      this.#sink.onStreamError(stream_id, ErrorCode.FRAME_SIZE_ERROR);
    } else if (getUint31(bytes, start) === stream_id) {
      this.#sink.onStreamError(stream_id, ErrorCode.PROTOCOL_ERROR);
    }
  }
}

function blockTooLarge(): ConnectionError {
  return new ConnectionError(
    ErrorCode.ENHANCE_YOUR_CALM,
    "header_block_bytes",
    "a header block is larger than this endpoint reads",
  );
}
