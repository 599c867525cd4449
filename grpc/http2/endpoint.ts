/**
 * The life of one HTTP/2 connection, either side: the handshake, the reading loop, the frames that
 * belong to no stream, and the ways it ends. What a stream is, `connection.ts` knows.
 *
 * No input of a peer makes a method here reject or throw outwards.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { ConnectionError } from "./connection_error.ts";
import { FrameReader, type FrameSink } from "./frame_reader.ts";
import {
  CLIENT_PREFACE,
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  INITIAL_WINDOW_BYTES,
  putUint32,
} from "./frames.ts";
import { Output } from "./output.ts";
import { RateBound } from "./rate_bound.ts";
import { encodeSettings, initialPeerSettings, type PeerSettings } from "./settings.ts";
import type { Transport } from "./transport.ts";

const READ_BUFFER_BYTES = 64 * 1024;

/** Where a connection is in its life. */
export type ConnectionPhase =
  /** The peer has not sent its SETTINGS. */
  | "handshake"
  | "open"
  /** Our last frame is queued; what the peer still sends is thrown away. */
  | "lingering"
  | "closed";

/** Which end of a connection this is. */
export type Role = "server" | "client";

/** A connection without its streams. */
export abstract class Http2Endpoint implements FrameSink {
  readonly bounds: Bounds;
  readonly output: Output;
  readonly peer: PeerSettings = initialPeerSettings();
  /** Changes with each read: a watcher sees a silent peer by its standing still. */
  reads = 0;

  protected readonly role: Role;
  readonly #transport: Transport;
  readonly #reader: FrameReader;
  readonly #resets: RateBound;
  readonly #control_frames: RateBound;
  #phase: ConnectionPhase = "handshake";
  #unread_bytes = 0;
  #settings_acknowledged = false;
  /** Why the end began. */
  #closing_text: string | undefined;
  #ping_waiters: (() => void)[] = [];

  constructor(role: Role, transport: Transport, bounds: Bounds) {
    this.role = role;
    this.#transport = transport;
    this.bounds = bounds;
    const now_ms = () => performance.now();
    this.#resets = new RateBound(bounds.reset_burst, bounds.resets_per_second, now_ms);
    this.#control_frames = new RateBound(
      bounds.control_frame_burst,
      bounds.control_frames_per_second,
      now_ms,
    );
    this.#reader = new FrameReader(this, bounds, role === "server");
    this.output = new Output(
      transport,
      () => this.onOutputDrained(),
      () => this.terminate("the connection broke while writing"),
    );
  }

  get phase(): ConnectionPhase {
    return this.#phase;
  }

  /** Whether bytes of an unfinished frame wait. */
  get inFrame(): boolean {
    return this.#unread_bytes > 0 || this.#reader.inHeaderBlock;
  }

  /** Whether the peer has acknowledged our SETTINGS. */
  get settingsAcknowledged(): boolean {
    return this.#settings_acknowledged;
  }

  get framesRead(): number {
    return this.#reader.frames;
  }

  abstract onData(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    flow_bytes: number,
    end_stream: boolean,
  ): void;
  abstract onHeaderBlock(
    stream_id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    end_stream: boolean,
  ): void;
  abstract onReset(stream_id: number, code: number): void;
  abstract onGoaway(
    last_stream_id: number,
    code: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void;
  abstract onWindowUpdate(stream_id: number, increment: number): void;
  abstract onStreamError(stream_id: number, code: ErrorCode): void;
  /** Takes over a peer's SETTINGS. */
  protected abstract applyPeerSettings(bytes: Uint8Array, start: number, end: number): void;
  /** The socket took what was waiting. */
  protected abstract onOutputDrained(): void;
  /** Ends every open stream, because the connection ends. */
  protected abstract abortStreams(text: string): void;
  /** Largest stream id of the peer we have handled; travels in GOAWAY. */
  protected abstract lastPeerStreamId(): number;
  /** Ends the connection because nothing uses it. */
  abstract closeIdle(): void;
  /** Counts a refusal. */
  abstract onRefused(refusal: Refusal): void;
  /** The peer's first SETTINGS arrived. */
  protected onEstablished(): void {}
  /** The peer's settings changed. */
  protected onPeerSettings(): void {}
  /** Resolves when the next read may begin; undefined when it may now. */
  protected mayRead(): Promise<void> | undefined {
    return undefined;
  }
  /** A mistake of this module, on its way to GOAWAY INTERNAL_ERROR. */
  protected onInternalError(_reason: unknown): void {}
  /** Called once when the socket is closed. */
  protected abstract onClosed(text: string): void;

  /** Runs until the connection is closed; never rejects. */
  async run(): Promise<void> {
    let text = "the peer closed the connection";
    try {
      this.#sendPreface();
      await this.#readAll();
    } catch (reason) {
      text = `the connection broke: ${reason instanceof Error ? reason.message : "unknown reason"}`;
    }
    this.terminate(text);
  }

  async #readAll(): Promise<void> {
    const buffer = new Uint8Array(
      Math.max(READ_BUFFER_BYTES, this.bounds.frame_bytes + FRAME_HEADER_BYTES),
    );
    let filled = 0;
    for (;;) {
      const held = this.mayRead();
      if (held !== undefined) await held;
      const count = await this.#transport.read(filled === 0 ? buffer : buffer.subarray(filled));
      // Closed while these bytes were on their way: what they open would never be ended.
      if (count === null || this.#phase === "closed") return;
      this.reads++;
      if (this.#phase === "lingering") {
        filled = 0;
        continue;
      }
      filled += count;
      const used = this.#handle(buffer, filled);
      if (used > 0 && used < filled) buffer.copyWithin(0, used, filled);
      filled -= used;
      this.#unread_bytes = filled;
      // Replies the peer does not read must not pile up: stop reading until they are gone.
      if (this.output.waiting_bytes > this.bounds.output_bytes) await this.output.whenIdle();
    }
  }

  /** Handles whole frames as one batch whose replies leave in one write. */
  #handle(buffer: Uint8Array, filled: number): number {
    this.output.hold();
    try {
      return this.#reader.read(buffer, filled);
    } catch (reason) {
      this.fail(this.errorOf(reason));
      return filled;
    } finally {
      this.output.release();
    }
  }

  // Frames of the connection itself

  onSettings(bytes: Uint8Array, start: number, end: number): void {
    this.chargeControl();
    this.applyPeerSettings(bytes, start, end);
    this.output.frame(FrameType.SETTINGS, Flag.ACK, 0, new Uint8Array(0));
    this.onPeerSettings();
    if (this.#phase === "handshake") {
      this.#phase = "open";
      this.onEstablished();
    }
  }

  onSettingsAck(): void {
    this.chargeControl();
    this.#settings_acknowledged = true;
  }

  onPing(bytes: Uint8Array, start: number, ack: boolean): void {
    this.chargeControl();
    if (!ack) {
      this.output.frame(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, start + 8));
      return;
    }
    const waiters = this.#ping_waiters;
    this.#ping_waiters = [];
    for (const wake of waiters) wake();
  }

  onIgnored(): void {
    this.chargeControl();
  }

  /** Counts a reset against its bound; a server throws here when a peer resets too much. */
  protected chargeReset(): void {
    if (!this.#resets.take()) throw calm("resets", "too many streams ended by a reset");
  }

  protected chargeControl(): void {
    if (!this.#control_frames.take()) throw calm("control_frames", "too many control frames");
  }

  // Ends

  /** Sends a PING and resolves when it is answered; never rejects, may never resolve. */
  ping(): Promise<void> {
    this.output.frame(FrameType.PING, 0, 0, new Uint8Array(8));
    return new Promise((resolve) => this.#ping_waiters.push(resolve));
  }

  /** Sends GOAWAY; the connection goes on. */
  sendGoaway(last_stream_id: number, code: ErrorCode, text: string): void {
    const debug = new TextEncoder().encode(text);
    const payload = new Uint8Array(8 + debug.length);
    putUint32(payload, 0, last_stream_id);
    putUint32(payload, 4, code);
    payload.set(debug, 8);
    this.output.frame(FrameType.GOAWAY, 0, 0, payload);
  }

  /** Ends the connection for a broken rule: GOAWAY, every stream aborted, then closed. */
  fail(error: ConnectionError): void {
    if (this.#phase === "lingering" || this.#phase === "closed") return;
    this.onRefused(error.refusal);
    this.sendGoaway(this.lastPeerStreamId(), error.code, error.message);
    this.closeGently(error.message);
  }

  /** Ends the connection after what is queued has left; streams still open are aborted now. */
  closeGently(text: string): void {
    if (this.#phase === "lingering" || this.#phase === "closed") return;
    this.#phase = "lingering";
    this.#closing_text = text;
    this.abortStreams(text);
    this.output.whenIdle()
      .then(() => this.#transport.closeWrite())
      .catch(() => this.terminate(text));
  }

  /** Closes the socket at once. */
  terminate(text: string): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    const why = this.#closing_text ?? text;
    this.output.close();
    this.abortStreams(why);
    try {
      this.#transport.close();
    } catch {
      // Closed already.
    }
    this.onClosed(why);
  }

  #sendPreface(): void {
    this.output.hold();
    if (this.role === "client") {
      const offset = this.output.reserve(CLIENT_PREFACE.length);
      this.output.bytes.set(CLIENT_PREFACE, offset);
    }
    this.output.frame(FrameType.SETTINGS, 0, 0, encodeSettings(this.role, this.bounds));
    const extra = this.bounds.connection_window_bytes - INITIAL_WINDOW_BYTES;
    if (extra > 0) this.output.frameOfUint32(FrameType.WINDOW_UPDATE, 0, extra);
    this.output.release();
  }

  /** What was thrown while frames were handled; the peer hears nothing of our own mistakes. */
  protected errorOf(reason: unknown): ConnectionError {
    if (reason instanceof ConnectionError) return reason;
    this.onInternalError(reason);
    return new ConnectionError(ErrorCode.INTERNAL_ERROR, "protocol", "internal error");
  }
}

/** The error for a peer that costs too much. */
export function calm(refusal: Refusal, text: string): ConnectionError {
  return new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, refusal, text);
}
