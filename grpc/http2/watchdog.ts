/**
 * The timeouts of one connection, looked at together at a steady pace: no timer per connection,
 * frame or stream. What makes progress is seen by counters that move; what stands still is ended.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import { ConnectionError } from "./connection_error.ts";
import { ErrorCode } from "./frames.ts";
import type { Output } from "./output.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamTable } from "./stream_table.ts";

/** What the watchdog needs of a connection. */
export interface Watched<S extends Http2Stream> {
  readonly bounds: Bounds;
  readonly phase: "handshake" | "open" | "lingering" | "closed";
  readonly reads: number;
  readonly framesRead: number;
  /** Streams ever opened. */
  readonly streamsOpened: number;
  readonly inFrame: boolean;
  readonly settingsAcknowledged: boolean;
  readonly output: Output;
  readonly streams: StreamTable<S>;
  /** Whether a silent peer may be asked for a sign of life now. */
  readonly mayPing: boolean;
  onRefused(refusal: Refusal): void;
  violate(stream: S, code: ErrorCode, refusal: Refusal): void;
  ping(): Promise<void>;
  fail(error: ConnectionError): void;
  terminate(text: string): void;
  /** Ends an idle connection the way its side does. */
  closeIdle(): void;
}

/** A counter and when it last moved. */
class Progress {
  #value = -1;
  #moved_ms: number;

  constructor(now_ms: number) {
    this.#moved_ms = now_ms;
  }

  /** How long the value has stood still. */
  still_ms(value: number, now_ms: number): number {
    if (value !== this.#value) {
      this.#value = value;
      this.#moved_ms = now_ms;
    }
    return now_ms - this.#moved_ms;
  }
}

/** Watches one connection. */
export class Watchdog<S extends Http2Stream> {
  readonly #connection: Watched<S>;
  readonly #started_ms: number;
  readonly #reads: Progress;
  readonly #frame: Progress;
  readonly #write: Progress;
  readonly #idle: Progress;
  readonly #pending = new Map<S, Progress>();
  #idle_epoch = 0;
  #frame_epoch = 0;
  #write_epoch = 0;
  #pinged_ms: number | undefined;
  #idle_ended = false;
  #lingering_since_ms: number | undefined;

  constructor(connection: Watched<S>, now_ms: number) {
    this.#connection = connection;
    this.#started_ms = now_ms;
    this.#reads = new Progress(now_ms);
    this.#frame = new Progress(now_ms);
    this.#write = new Progress(now_ms);
    this.#idle = new Progress(now_ms);
  }

  /** Ends what has stood still for too long. */
  sweep(now_ms: number): void {
    const connection = this.#connection;
    const { bounds } = connection;
    if (connection.phase === "closed") return;
    if (this.#writeStalled(now_ms)) {
      connection.onRefused("write_timeout");
      return connection.terminate("the peer stopped reading");
    }
    if (connection.phase === "lingering") {
      this.#lingering_since_ms ??= now_ms;
      if (now_ms - this.#lingering_since_ms < bounds.linger_timeout_ms) return;
      return connection.terminate("the connection was closed");
    }
    if (connection.phase === "handshake") {
      if (now_ms - this.#started_ms < bounds.handshake_timeout_ms) return;
      connection.onRefused("handshake_timeout");
      return connection.terminate("the HTTP/2 handshake took too long");
    }
    if (this.#frameStalled(now_ms)) {
      return connection.fail(
        new ConnectionError(
          ErrorCode.ENHANCE_YOUR_CALM,
          "frame_timeout",
          "a frame was begun and not finished",
        ),
      );
    }
    if (
      !connection.settingsAcknowledged && now_ms - this.#started_ms >= bounds.settings_timeout_ms
    ) {
      return connection.fail(
        new ConnectionError(
          ErrorCode.SETTINGS_TIMEOUT,
          "settings_timeout",
          "SETTINGS were not acknowledged",
        ),
      );
    }
    if (this.#silent(now_ms) || this.#idleTooLong(now_ms)) return;
    this.#endStalledStreams(now_ms);
  }

  #writeStalled(now_ms: number): boolean {
    const { output, bounds } = this.#connection;
    if (!output.writing) this.#write_epoch++;
    // Moves with the bytes the socket takes, and each time nothing waits for it.
    const taken = Math.floor(output.progress / bounds.stall_bytes);
    const still_ms = this.#write.still_ms(taken + this.#write_epoch, now_ms);
    return output.writing && still_ms >= bounds.write_timeout_ms;
  }

  #frameStalled(now_ms: number): boolean {
    const { inFrame, framesRead, bounds } = this.#connection;
    if (!inFrame) this.#frame_epoch++;
    const still_ms = this.#frame.still_ms(framesRead + this.#frame_epoch, now_ms);
    return inFrame && still_ms >= bounds.frame_timeout_ms;
  }

  /** Asks a silent peer for a sign of life; true when the connection was ended for lack of one. */
  #silent(now_ms: number): boolean {
    const { reads, bounds } = this.#connection;
    const still_ms = this.#reads.still_ms(reads, now_ms);
    if (bounds.keepalive_interval_ms === 0 || still_ms < bounds.keepalive_interval_ms) {
      this.#pinged_ms = undefined;
      return false;
    }
    if (this.#pinged_ms === undefined) {
      if (!this.#connection.mayPing) return false;
      this.#pinged_ms = now_ms;
      this.#connection.ping();
      return false;
    }
    // From the PING on: the silence before it may be as long as it was unused.
    if (now_ms - this.#pinged_ms < bounds.keepalive_timeout_ms) return false;
    this.#connection.onRefused("keepalive_timeout");
    this.#connection.terminate("the peer did not answer a keepalive PING");
    return true;
  }

  #idleTooLong(now_ms: number): boolean {
    const { streams, streamsOpened, bounds } = this.#connection;
    if (streams.size > 0) this.#idle_epoch++;
    // Frames of the connection itself are not use: a peer that only sends PING is idle.
    const still_ms = this.#idle.still_ms(streamsOpened + this.#idle_epoch, now_ms);
    if (this.#idle_ended || streams.size > 0 || still_ms < bounds.idle_timeout_ms) return false;
    this.#idle_ended = true;
    this.#connection.onRefused("idle_timeout");
    this.#connection.closeIdle();
    return true;
  }

  #endStalledStreams(now_ms: number): void {
    const { streams, bounds } = this.#connection;
    for (const stream of this.#pending.keys()) {
      if (stream.pending === undefined) this.#pending.delete(stream);
    }
    for (const stream of streams.values()) {
      if (stream.pending === undefined) continue;
      let progress = this.#pending.get(stream);
      if (progress === undefined) this.#pending.set(stream, progress = new Progress(now_ms));
      const taken = Math.floor(stream.sent_bytes / bounds.stall_bytes) + stream.waits_ended;
      if (progress.still_ms(taken, now_ms) < bounds.window_stall_timeout_ms) continue;
      this.#pending.delete(stream);
      this.#connection.violate(stream, ErrorCode.CANCEL, "window_stall_timeout");
    }
  }
}
